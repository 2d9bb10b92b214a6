import { dayTime, dayTimeZone, localZone } from './format';

/** A moment. In a table whose header names the zone, `bare` leaves it away. */
export function Time({ at, zone = localZone, bare = false }: { at: string; zone?: string; bare?: boolean }) {
  return (
    <time dateTime={at} title={dayTimeZone(at, zone)}>
      {bare ? dayTime(at, zone) : dayTimeZone(at, zone)}
    </time>
  );
}
