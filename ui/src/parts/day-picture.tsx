import { useEffect, useState } from 'react';
import { dayName, days, quietStretches, type Window, windowsInWords } from './hours';

const hours = [0, 6, 12, 18, 24];

/**
 * The hours of a recipient's day: quiet ones are filled. One bar when all days are alike, else one a day. Lines show
 * what time it is now in the country's zones.
 */
export function DayPicture({ windows, of, country }: { windows: Window[]; of: string; country?: string }) {
  const clocks = useClocks(country);
  const week = quietStretches(windows);
  const alike = week.every((day) => JSON.stringify(day) === JSON.stringify(week[0]));
  const rows = alike ? week.slice(0, 1) : week;
  return (
    <div
      className="day-picture"
      role="img"
      aria-label={`Quiet hours of ${of}: ${windowsInWords(windows)}${nowInWords(clocks, '; ')}`}
    >
      {rows.map((stretches, i) => (
        <div key={i} className="day-row">
          <span className="day-name">{alike ? 'Daily' : dayName(days[i] ?? 'mon')}</span>
          <span className="day-bar">
            {stretches.map(([from, to]) => (
              <span
                key={from}
                className="day-quiet"
                style={{ left: `${(100 * from) / 1440}%`, width: `${(100 * (to - from)) / 1440}%` }}
              />
            ))}
            {clocks
              .filter((c) => alike || c.day === i)
              .map((c) => (
                <span
                  key={`${c.day}/${c.minute}`}
                  className="day-now"
                  style={{ left: `${(100 * c.minute) / 1440}%` }}
                />
              ))}
          </span>
        </div>
      ))}
      <div className="day-row">
        <span className="day-name" />
        <span className="day-hours">
          {hours.map((h) => (
            <span key={h}>{String(h).padStart(2, '0')}</span>
          ))}
        </span>
      </div>
      {clocks.length > 0 && (
        <div className="day-row">
          <span className="day-name" />
          <span>{nowInWords(clocks, '').replace(/^n/, 'N')}</span>
        </div>
      )}
    </div>
  );
}

type LocalClock = { day: number; minute: number; text: string };

/** now 14:05, or now 04:05 to 09:05 where there are several zones. */
function nowInWords(clocks: LocalClock[], before: string): string {
  const [first, last] = [clocks[0], clocks.at(-1)];
  if (!first || !last) return '';
  return `${before}now ${first.text}${first === last ? ' there' : ` to ${last.text}, in its time zones`}`;
}

/** What the clocks of a country's zones show, each time once, the earliest first. None where the browser knows no zones. */
function useClocks(country: string | undefined): LocalClock[] {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), 20_000);
    return () => clearInterval(timer);
  }, []);
  return country ? clocksOf(country, now) : [];
}

export function clocksOf(country: string, now: Date): LocalClock[] {
  const locale = new Intl.Locale('und', { region: country }) as Intl.Locale & {
    getTimeZones?: () => string[] | undefined;
    timeZones?: string[];
  };
  const found = new Map<number, LocalClock>();
  for (const zone of locale.getTimeZones?.() ?? locale.timeZones ?? []) {
    const parts = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }).formatToParts(now);
    const part = (type: string) => Number(parts.find((p) => p.type === type)?.value);
    const wall = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'));
    const [hour, minute] = [part('hour'), part('minute')].map((n) => String(n).padStart(2, '0'));
    found.set(wall, {
      day: (new Date(wall).getUTCDay() + 6) % 7,
      minute: part('hour') * 60 + part('minute'),
      text: `${hour}:${minute}`,
    });
  }
  return [...found].sort((a, b) => a[0] - b[0]).map(([, c]) => c);
}
