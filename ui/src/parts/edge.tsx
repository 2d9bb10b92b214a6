import { Alert, Button, Group, Text } from '@mantine/core';
import {
  IconCircleCheck,
  IconCircleX,
  IconFlame,
  IconHelpCircle,
  IconPlugConnectedX,
  IconProgressAlert,
} from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { api, queries } from '../api/client';
import { type EdgeFunction, edgeKey, type Fault, useEdgeFunctions } from '../api/edge';
import { Can } from '../app/session';
import { words } from './format';
import { Mark } from './status';
import { Time } from './time';
import { tell } from './toast';

const states = {
  green: { word: 'Working', tone: 'good', icon: IconCircleCheck },
  amber: { word: 'Degraded', tone: 'live', icon: IconProgressAlert },
  red: { word: 'Down', tone: 'bad', icon: IconCircleX },
  unknown: { word: 'Unknown', tone: 'waits', icon: IconHelpCircle },
} as const;

/** The state of an edge function: an icon, a word and a colour. */
export const EdgeState = ({ of }: { of: EdgeFunction['state'] }) => <Mark {...states[of]} />;

/** Says what is lost now that an edge function is down, where people use it; nothing while it works. */
export function EdgeDegraded({ of, mb }: { of: EdgeFunction['name']; mb?: string }) {
  const f = useEdgeFunctions().data?.functions.find((e) => e.name === of);
  if (!f || f.state === 'green' || f.state === 'amber') return null;
  const unknown = f.state === 'unknown';
  return (
    <Alert
      color={unknown ? 'violet' : 'red'}
      icon={unknown ? <IconHelpCircle size={16} /> : <IconPlugConnectedX size={16} />}
      title={unknown ? `Nobody knows how ${title(f)} is` : `${f.title}: down`}
      role="status"
      mb={mb}
    >
      <Text size="sm">
        {unknown ? `It was not probed lately. If it is down: ${f.impact}` : f.impact}{' '}
        {f.since && !unknown && (
          <>
            Since <Time at={f.since} />.
          </>
        )}{' '}
        <Link to="/integrations" search={{ edge: f.name }} className="text-link">
          Look at it
        </Link>
      </Text>
    </Alert>
  );
}

const title = (f: EdgeFunction) =>
  f.title.startsWith('WhatsApp') ? f.title : f.title.charAt(0).toLowerCase() + f.title.slice(1);

/** Stands over every page while something is made to fail on purpose. */
export function FaultBanner() {
  const query = useEdgeFunctions();
  const faults = query.data?.faults ?? [];
  return (
    <>
      {faults.map((f) => (
        <Alert key={f.id} color="amber" icon={<IconFlame size={16} />} mb="md" className="fault-banner">
          <Group justify="space-between" gap="xs">
            <Text size="sm" className="wrap">
              <b>{faultName(query.data?.functions.find((e) => e.name === f.edge_function)?.title, f)}</b> on purpose,
              until <Time at={f.expires_at} />: {f.reason}
            </Text>
            <Can do="faults.inject">
              <SwitchOff fault={f} />
            </Can>
          </Group>
        </Alert>
      ))}
    </>
  );
}

/** Ends a fault at once. */
export function SwitchOff({ fault }: { fault: Fault }) {
  const end = api.useMutation('delete', '/faults/{id}', {
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: edgeKey });
      tell.done('Fault switched off');
    },
  });
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={end.isPending}
      onClick={() => end.mutate({ params: { path: { id: fault.id }, query: { reason: 'switched off in the panel' } } })}
    >
      Switch off
    </Button>
  );
}

/** What fails, and how: "Voucher cards: timeout". */
function faultName(title: string | undefined, f: Fault): string {
  const share = f.share < 1 ? ` of ${Math.round(100 * f.share)} % of the calls` : '';
  return `${title ?? f.edge_function}: ${words(f.kind)}${f.delay_ms ? ` by ${f.delay_ms} ms` : ''}${share}`;
}
