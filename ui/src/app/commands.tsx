import { Group, Modal, Stack, Text, useMantineColorScheme } from '@mantine/core';
import { Spotlight, spotlight } from '@mantine/spotlight';
import { IconKeyboard, IconLogout, IconMoon, IconSearch, IconSun, IconUser } from '@tabler/icons-react';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useNavigation } from './pages';
import { signOut } from './session';

const shortcutsAsked = new EventTarget();

export const openCommands = () => spotlight.open();
export const openShortcuts = () => void shortcutsAsked.dispatchEvent(new Event('open'));

/** The command palette on Ctrl/Cmd+K, the pages' keys after g, and the list of all of them on ?. */
export function Commands() {
  const navigate = useNavigate();
  const navigation = useNavigation();
  const { setColorScheme } = useMantineColorScheme();
  const [listed, setListed] = useState(false);

  useEffect(() => {
    const open = () => setListed(true);
    shortcutsAsked.addEventListener('open', open);
    return () => shortcutsAsked.removeEventListener('open', open);
  }, []);

  useEffect(() => {
    let going = 0; // when g was typed
    const typed = (event: KeyboardEvent) => {
      const into = event.target as HTMLElement;
      const writes = into.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(into.tagName);
      if (writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('[role=dialog]')) return;
      const page = navigation.find((p) => p.key === event.key);
      if (event.key === '?') setListed(true);
      else if (event.key === 'g') going = event.timeStamp;
      else if (page && event.timeStamp - going < 1000) void navigate({ to: page.to });
    };
    addEventListener('keydown', typed);
    return () => removeEventListener('keydown', typed);
  }, [navigate, navigation]);

  const actions = [
    ...navigation.map(({ to, label, icon: Icon }) => ({
      id: to,
      label,
      description: 'Page',
      leftSection: <Icon size={18} />,
      onClick: () => void navigate({ to }),
    })),
    {
      id: 'profile',
      label: 'Profile',
      description: 'Name, password, appearance',
      leftSection: <IconUser size={18} />,
      onClick: () => void navigate({ to: '/profile' }),
    },
    {
      id: 'dark',
      label: 'Dark appearance',
      leftSection: <IconMoon size={18} />,
      onClick: () => setColorScheme('dark'),
    },
    {
      id: 'light',
      label: 'Light appearance',
      leftSection: <IconSun size={18} />,
      onClick: () => setColorScheme('light'),
    },
    {
      id: 'shortcuts',
      label: 'Keyboard shortcuts',
      leftSection: <IconKeyboard size={18} />,
      onClick: () => setListed(true),
    },
    { id: 'sign-out', label: 'Sign out', leftSection: <IconLogout size={18} />, onClick: () => void signOut() },
  ];

  return (
    <>
      <Spotlight
        classNames={{ action: 'command', actionDescription: 'command-about' }}
        attributes={{ content: { 'aria-label': 'Search and commands' } }}
        actions={actions}
        shortcut={['mod + K']}
        tagsToIgnore={[]}
        nothingFound="Nothing by this name"
        highlightQuery
        searchProps={{
          leftSection: <IconSearch size={18} />,
          placeholder: 'Go to a page or run a command',
          'aria-label': 'Search',
        }}
        transitionProps={{ duration: 100 }}
      />
      <Modal opened={listed} onClose={() => setListed(false)} title="Keyboard shortcuts" centered>
        <Stack gap="xs">
          <Shortcut keys={['Ctrl', 'K']} does="Search and commands (⌘ K on a Mac)" />
          {navigation.map((p) => (
            <Shortcut key={p.key} keys={['g', p.key]} does={`Go to ${p.label}`} />
          ))}
          <Shortcut keys={['↑', '↓']} does="Move through a table's rows" />
          <Shortcut keys={['?']} does="This list" />
        </Stack>
      </Modal>
    </>
  );
}

function Shortcut({ keys, does }: { keys: string[]; does: string }) {
  return (
    <Group justify="space-between" wrap="nowrap">
      <Text size="sm">{does}</Text>
      <Group gap={4} wrap="nowrap">
        {keys.map((k) => (
          <kbd key={k}>{k}</kbd>
        ))}
      </Group>
    </Group>
  );
}
