import { AppShell, Avatar, Burger, Group, Menu, Text, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconKeyboard, IconLogout, IconSearch, IconSelector, IconUser } from '@tabler/icons-react';
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useRef } from 'react';
import { api } from '../api/client';
import { useEdgeFunctions } from '../api/edge';
import { useLine, useLive } from '../api/live';
import { Bell } from '../parts/bell';
import { Commands, openCommands, openShortcuts } from './commands';
import { useNavigation } from './pages';
import { signOut, useAccount } from './session';

/** The frame around every page. */
export function Shell() {
  const [opened, { toggle, close }] = useDisclosure();
  const main = useFocusOnArrival(close);
  useLive();
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <AppShell
        header={{ height: { base: 56, sm: 0 } }}
        navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }}
        padding={{ base: 'md', sm: 'xl' }}
        transitionDuration={120}
      >
        <AppShell.Header className="frame-header" hiddenFrom="sm" role="none">
          <section aria-label="Top" className="fill">
            <Group h="100%" px="md" justify="space-between">
              <Group gap="sm">
                <Burger opened={opened} onClick={toggle} size="sm" aria-label="Navigation" aria-expanded={opened} />
                <Brand />
              </Group>
              <LineSign />
            </Group>
          </section>
        </AppShell.Header>
        <AppShell.Navbar className="frame-nav" p="sm" aria-label="Main">
          <AppShell.Section visibleFrom="sm" px={4} pb="md" pt={4}>
            <Brand />
          </AppShell.Section>
          <AppShell.Section pb="md">
            <UnstyledButton className="search-button" onClick={openCommands}>
              <Group gap={8}>
                <IconSearch size={16} />
                <Text span size="sm">
                  Search
                </Text>
              </Group>
              <kbd>{apple ? '⌘' : 'Ctrl'} K</kbd>
            </UnstyledButton>
          </AppShell.Section>
          <AppShell.Section grow className="nav-list">
            {useNavigation().map(({ to, label, icon: Icon }) => (
              <Link key={to} to={to} className="nav-link" onClick={close} activeOptions={{ exact: to === '/' }}>
                <Icon size={18} aria-hidden />
                {label}
                {to === '/approvals' && <Waiting />}
                {to === '/incidents' && <Unseen />}
                {to === '/integrations' && <EdgeSign />}
              </Link>
            ))}
          </AppShell.Section>
          <AppShell.Section>
            <Group px="xs" pb="xs" visibleFrom="sm">
              <LineSign />
            </Group>
            <ProfileMenu />
          </AppShell.Section>
        </AppShell.Navbar>
        <AppShell.Main id="main" ref={main} tabIndex={-1}>
          <div className="frame-main">
            <Faults />
            <Outlet />
          </div>
        </AppShell.Main>
      </AppShell>
      <Commands />
    </>
  );
}

/** How many alerts fire that nobody has seen. The stream says so at once. */
function Unseen() {
  const query = api.useQuery(
    'get',
    '/alerts',
    { params: { query: { state: ['firing'], limit: 100 } } },
    { refetchInterval: 60_000 },
  );
  const unseen = query.data?.alerts.filter((a) => !a.acknowledged_at && !a.symptom_of).length ?? 0;
  if (!unseen) return null;
  return (
    <span className="nav-count">
      {unseen}
      <span className="sr-only"> {unseen === 1 ? 'alert fires' : 'alerts fire'}, not seen yet</span>
    </span>
  );
}

/** How much waits for whoever is signed in to decide. */
function Waiting() {
  const query = api.useQuery('get', '/approvals', { params: { query: { limit: 100 } } }, { refetchInterval: 30_000 });
  const mine = query.data?.approvals.filter((r) => r.may_decide && !r.changed).length ?? 0;
  if (mine === 0) return null;
  return (
    <span className="nav-count">
      {mine}
      <span className="sr-only"> waiting for you</span>
    </span>
  );
}

/** How many services are down; nothing while none is. */
function EdgeSign() {
  const down = useEdgeFunctions().data?.functions.filter((f) => f.state === 'red').length ?? 0;
  if (down === 0) return null;
  return (
    <span className="nav-count" data-tone="bad">
      {down}
      <span className="sr-only"> down</span>
    </span>
  );
}

const FaultBanner = lazy(() => import('../parts/edge').then((m) => ({ default: m.FaultBanner })));

/** What is made to fail on purpose, over every page. */
function Faults() {
  const faults = useEdgeFunctions().data?.faults ?? [];
  return (
    <div role="status" aria-label="Faults">
      {faults.length > 0 && (
        <Suspense>
          <FaultBanner />
        </Suspense>
      )}
    </div>
  );
}

const apple = /Mac|iPhone|iPad/.test(navigator.userAgent);

function Brand() {
  return (
    <Link to="/" className="brand">
      <Bell size={24} />
      <Text span fw={600} size="md">
        Lastcall
      </Text>
    </Link>
  );
}

function LineSign() {
  const line = useLine();
  return (
    <span className="line" data-line={line} role="status">
      {line === 'live' ? 'Live' : line === 'connecting' ? 'Connecting…' : 'Reconnecting…'}
    </span>
  );
}

function ProfileMenu() {
  const account = useAccount();
  const navigate = useNavigate();
  const initials = account.name
    .split(/\s+/)
    .map((w) => w[0])
    .slice(0, 2)
    .join('')
    .toUpperCase();
  return (
    <Menu position="top-start" width={208} transitionProps={{ duration: 100 }}>
      <Menu.Target>
        <UnstyledButton className="profile-button" aria-label={`Account of ${account.name}`}>
          <Avatar size={32} radius={6} className="avatar" aria-hidden>
            {initials}
          </Avatar>
          <span>
            <Text span display="block" size="sm" fw={500} truncate>
              {account.name}
            </Text>
            <Text span display="block" size="xs" c="dimmed" truncate>
              {account.role.replaceAll('_', ' ')}
            </Text>
          </span>
          <IconSelector size={16} className="push-right no-shrink" aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<IconUser size={16} />} onClick={() => void navigate({ to: '/profile' })}>
          Profile
        </Menu.Item>
        <Menu.Item leftSection={<IconKeyboard size={16} />} onClick={openShortcuts}>
          Keyboard shortcuts
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Whoever goes to another page arrives at its beginning, with the keyboard and the screen reader too. */
function useFocusOnArrival(arrived: () => void) {
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: (s) => s.location.pathname });
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    main.current?.focus({ preventScroll: true });
    before.current = path;
    arrived();
  }, [path, arrived]);
  return main;
}
