import { Group, SegmentedControl, Tabs } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';

/** The pages that belong together. */
export function IncidentTabs({ at }: { at: '/incidents' | '/alerts' | '/alert-rules' | '/runbooks' }) {
  const navigate = useNavigate();
  return (
    <Tabs value={at} onChange={(to) => void navigate({ to: to as typeof at })} mb="lg" activateTabWithKeyboard={false}>
      <Tabs.List aria-label="Incidents, alerts, rules and runbooks">
        <Tabs.Tab value="/incidents">Incidents</Tabs.Tab>
        <Tabs.Tab value="/alerts">Alerts</Tabs.Tab>
        <Tabs.Tab value="/alert-rules">Rules</Tabs.Tab>
        <Tabs.Tab value="/runbooks">Runbooks</Tabs.Tab>
      </Tabs.List>
    </Tabs>
  );
}

/** Whether only what is open is shown, or all. */
export const ShowAll = ({ show, set }: { show?: 'all'; set: (to?: 'all') => void }) => (
  <Group mb="md">
    <SegmentedControl
      aria-label="Show"
      value={show ?? 'open'}
      data={[
        { value: 'open', label: 'Open' },
        { value: 'all', label: 'All' },
      ]}
      onChange={(to) => set(to === 'all' ? to : undefined)}
    />
  </Group>
);
