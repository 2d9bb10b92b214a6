import { dayTime, dayTimeZone, localZone, secondsOf } from './format';

type Props = { at: string; zone?: string; bare?: boolean; seconds?: boolean };

/** A moment. In a table whose header names the zone, `bare` leaves it away; `seconds` where order matters. */
export function Time({ at, zone = localZone, bare = false, seconds = false }: Props) {
  return (
    <time dateTime={at} title={dayTimeZone(at, zone)}>
      {bare ? dayTime(at, zone) + (seconds ? secondsOf(at) : '') : dayTimeZone(at, zone)}
    </time>
  );
}
