import { Anchor, Button, Drawer, Group, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus, IconQrcode } from '@tabler/icons-react';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { api, client, queries } from '../../api/client';
import { Can } from '../../app/session';
import { useConfirm } from '../../parts/confirm';
import { Facts } from '../../parts/facts';
import { count, countryName, zoneName } from '../../parts/format';
import { Page, Section } from '../../parts/page';
import { Empty, Failed, Loading } from '../../parts/states';
import { tell } from '../../parts/toast';
import { BarForm } from './bar-form';
import type { Bar } from './bars';
import { StationDrawer, StationForm } from './station';

const route = getRouteApi('/bars/$id');

export function BarPage() {
  const { id } = route.useParams();
  const { station } = route.useSearch();
  const navigate = route.useNavigate();
  const query = api.useQuery('get', '/bars/{id}', { params: { path: { id } } });
  const [editing, { open: edit, close: stopEditing }] = useDisclosure();
  const [adding, { open: add, close: stopAdding }] = useDisclosure();
  const remove = useDeleteBar();
  if (query.isPending) return <Loading label="Loading the bar" />;
  if (!query.data) return <Failed level={1} error={query.error} retry={() => void query.refetch()} />;
  const bar = query.data;
  const show = (to?: string) => void navigate({ search: { station: to } });
  const open = bar.stations.find((s) => s.id === station);
  return (
    <Page
      title={bar.name}
      about={<code>{bar.code}</code>}
      above={
        <Link to="/bars" className="text-link">
          Bars & stations
        </Link>
      }
      action={
        <Group gap="xs">
          <Can do="bars.write">
            <Button variant="default" color="red" onClick={() => void remove(bar)}>
              Delete…
            </Button>
            <Button variant="default" onClick={edit}>
              Edit
            </Button>
          </Can>
          <Button
            variant="default"
            leftSection={<IconQrcode size={16} />}
            onClick={() => void navigate({ to: '/bars/$id/qr', params: { id } })}
          >
            Table codes
          </Button>
        </Group>
      }
    >
      <div className="beside">
        <Section
          title="Stations"
          about="Where vouchers are redeemed. People sign in there with the station’s code and a PIN, on a device that is enrolled."
          aside={
            <Can do="bars.write">
              <Button leftSection={<IconPlus size={16} />} onClick={add}>
                Add station
              </Button>
            </Can>
          }
        >
          {bar.stations.length === 0 ? (
            <Empty title="No stations yet">Without one, nobody redeems a voucher here.</Empty>
          ) : (
            <ul className="history" aria-label="Stations">
              {bar.stations.map((s) => (
                <li key={s.id}>
                  <Group justify="space-between" wrap="nowrap">
                    <div>
                      <Text size="sm" fw={500} className="wrap">
                        {s.name}
                      </Text>
                      <code>{s.code}</code>
                    </div>
                    <Button variant="default" size="sm" onClick={() => show(s.id)} aria-label={`Open ${s.code}`}>
                      Open
                    </Button>
                  </Group>
                </li>
              ))}
            </ul>
          )}
        </Section>
        <Section title="About">
          <Facts
            of={[
              ['Country', countryName(bar.country)],
              ['Vouchers in', bar.currency],
              ['Time zone', zoneName(bar.zone)],
              ['Address', bar.address || '–'],
              ['Map', <MapLink key="map" bar={bar} />],
            ]}
          />
        </Section>
      </div>
      <BarForm opened={editing} close={stopEditing} bar={bar} />
      <StationForm opened={adding} close={stopAdding} bar={bar} done={(s) => show(s.id)} />
      <Drawer opened={open !== undefined} onClose={() => show()} title="Station" size={520}>
        {open && <StationDrawer key={open.id} station={open} close={() => show()} />}
      </Drawer>
    </Page>
  );
}

/** Opens a map in another tab: the panel itself shows nothing from elsewhere. */
function MapLink({ bar }: { bar: Bar }) {
  if (bar.latitude === undefined || bar.longitude === undefined) return 'No coordinates';
  const at = `${bar.latitude}/${bar.longitude}`;
  return (
    <Anchor
      size="sm"
      href={`https://www.openstreetmap.org/?mlat=${bar.latitude}&mlon=${bar.longitude}#map=18/${at}`}
      target="_blank"
      rel="noreferrer noopener"
      className="text-link"
    >
      {bar.latitude.toFixed(5)}, {bar.longitude.toFixed(5)}
    </Anchor>
  );
}

function useDeleteBar() {
  const ask = useConfirm();
  const navigate = useNavigate();
  return async (bar: Bar) => {
    const { data: impact } = await client.GET('/bars/{id}/impact', { params: { path: { id: bar.id } } });
    if (!impact) return;
    ask({
      title: `Delete “${bar.name}”?`,
      impact: [
        impact.stations > 0
          ? `Its stations are deleted, too: ${bar.stations.map((s) => s.code).join(', ')}. ${takenAlong(impact)}`
          : 'It has no stations.',
        `${many(impact.qr_tokens, 'code', 'codes')} on tables stop working.`,
        `${many(impact.contacts, 'contact', 'contacts')} who came by it stay.`,
        'What was redeemed here stays told. The codes are not used again.',
      ],
      reason: 'required',
      action: impact.stations > 0 ? `Delete bar and ${many(impact.stations, 'station', 'stations')}` : 'Delete bar',
      final: true,
      run: async (reason) => {
        await client.DELETE('/bars/{id}', {
          params: { path: { id: bar.id } },
          body: { reason, with_stations: impact.stations > 0 },
        });
        tell.done('Bar deleted');
        await navigate({ to: '/bars', search: {} });
        queries.removeQueries({ predicate: (q) => q.queryKey[1] === '/bars/{id}' });
        void queries.invalidateQueries({ queryKey: ['get', '/bars'] });
      },
    });
  };
}

const many = (n: number, one: string, several: string) => `${count(n)} ${n === 1 ? one : several}`;

/** What ends with a station. */
export function takenAlong({ operators, devices, sessions }: { operators: number; devices: number; sessions: number }) {
  return `${many(operators, 'person', 'people')} and ${many(devices, 'device', 'devices')} cannot sign in any more; ${many(sessions, 'session ends', 'sessions end')} now.`;
}
