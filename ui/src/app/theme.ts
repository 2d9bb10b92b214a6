import {
  Alert,
  Badge,
  Button,
  type CSSVariablesResolver,
  createTheme,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  Modal,
  PasswordInput,
  Select,
  Table,
} from '@mantine/core';

// A bar after hours. Amber is kept for what is live or needs a human, so buttons and links are ink.

const amber: MantineColorsTuple = [
  '#FFF6E6',
  '#FDE8C6',
  '#FAD69A',
  '#F7BD65',
  '#F2A33A',
  '#DB8A1D',
  '#B86E08',
  '#9A5B00',
  '#7A4800',
  '#5A3500',
];
const ink: MantineColorsTuple = [
  '#F6F7FA',
  '#E9ECF2',
  '#D3D8E2',
  '#B8BFCD',
  '#8E97A9',
  '#616A7E',
  '#495266',
  '#323A4C',
  '#1C2231',
  '#0B0D17',
];
const slate: MantineColorsTuple = [
  '#F7F8FA',
  '#F0F2F5',
  '#E5E8EE',
  '#D5DAE3',
  '#B8BFCD',
  '#8E97A9',
  '#5B6478',
  '#495266',
  '#323A4C',
  '#1C2231',
];
const night: MantineColorsTuple = [
  '#D5D9E4',
  '#B4BACA',
  '#98A1B5',
  '#6B7389',
  '#2B3145',
  '#1E2334',
  '#141828',
  '#0B0D17',
  '#080A12',
  '#05060B',
];

export const theme = createTheme({
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  colors: { amber, ink, gray: slate, dark: night },
  primaryColor: 'ink',
  primaryShade: { light: 7, dark: 5 },
  variantColorResolver: (input) => {
    const colours = defaultVariantColorsResolver(input);
    const filledInk = input.variant === 'filled' && (input.color ?? 'ink') === 'ink';
    return filledInk ? { ...colours, color: 'var(--on-ink)' } : colours;
  },
  autoContrast: true,
  white: '#FFFFFF',
  black: '#0B0D17',
  defaultRadius: 6,
  radius: { xs: '4px', sm: '6px', md: '6px', lg: '8px', xl: '12px' },
  spacing: { xs: '8px', sm: '12px', md: '16px', lg: '24px', xl: '32px' },
  headings: {
    fontWeight: '600',
    sizes: {
      h1: { fontSize: '24px', lineHeight: '32px' },
      h2: { fontSize: '20px', lineHeight: '28px' },
      h3: { fontSize: '16px', lineHeight: '24px' },
      h4: { fontSize: '15px', lineHeight: '24px' },
    },
  },
  shadows: {
    xs: 'none',
    sm: 'none',
    md: '0 8px 24px rgb(11 13 23 / 12%)',
    lg: '0 8px 24px rgb(11 13 23 / 12%)',
    xl: '0 16px 48px rgb(11 13 23 / 18%)',
  },
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Alert: Alert.extend({ defaultProps: { variant: 'light' } }),
    Badge: Badge.extend({ defaultProps: { radius: 4 }, classNames: { root: 'badge' } }),
    Button: Button.extend({ defaultProps: { size: 'sm', variant: 'filled' } }),
    Modal: Modal.extend({
      defaultProps: {
        transitionProps: { duration: 120 },
        overlayProps: { backgroundOpacity: 0.5 },
        closeButtonProps: { 'aria-label': 'Close' },
      },
    }),
    PasswordInput: PasswordInput.extend({
      defaultProps: { visibilityToggleButtonProps: { 'aria-label': 'Show the password' } },
    }),
    Select: Select.extend({ defaultProps: { allowDeselect: false } }),
    Table: Table.extend({ defaultProps: { horizontalSpacing: 'sm' } }),
  },
});

/** Status colours as text and in bars, with contrast on each ground. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#FFFFFF',
    '--mantine-color-dimmed': slate[6],
    '--mantine-color-placeholder': slate[6],
    '--mantine-color-ink-filled': ink[8],
    '--mantine-color-ink-filled-hover': ink[9],
    '--mantine-primary-color-filled': ink[8],
    '--mantine-primary-color-filled-hover': ink[9],
    '--on-ink': '#FFFFFF',
    '--ground': '#F7F8FA',
    '--hover': '#EDF0F4',
    '--active': '#E3E7ED',
    '--track': '#E5E8EE',
    '--hairline': slate[2],
    '--accent': amber[7],
    '--good': '#1B7A3D',
    '--bad': '#C22A2A',
    '--mantine-color-error': '#C22A2A',
    '--waits': '#6B46C1',
    '--seg-read': '#1B7A3D',
    '--seg-delivered': '#4CA66D',
    '--seg-sent': '#A5D3B4',
  },
  dark: {
    '--mantine-color-body': night[7],
    '--mantine-color-dimmed': night[2],
    '--mantine-color-placeholder': night[2],
    '--mantine-color-ink-filled': ink[1],
    '--mantine-color-ink-filled-hover': ink[2],
    '--mantine-primary-color-filled': ink[1],
    '--mantine-primary-color-filled-hover': ink[2],
    '--on-ink': ink[9],
    '--ground': '#0F121E',
    '--hover': '#181D2D',
    '--active': '#222839',
    '--track': '#262D40',
    '--hairline': '#222839',
    '--accent': amber[4],
    '--good': '#5FCB8A',
    '--bad': '#FF8080',
    '--mantine-color-error': '#FF8080',
    '--waits': '#B79CF5',
    '--seg-read': '#5FCB8A',
    '--seg-delivered': '#37935C',
    '--seg-sent': '#235C3C',
  },
});
