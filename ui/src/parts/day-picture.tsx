import { dayName, days, quietStretches, type Window, windowsInWords } from './hours';

const hours = [0, 6, 12, 18, 24];

/** The hours of a recipient's day: quiet ones are filled. One bar when all days are alike, else one a day. */
export function DayPicture({ windows, of }: { windows: Window[]; of: string }) {
  const week = quietStretches(windows);
  const alike = week.every((day) => JSON.stringify(day) === JSON.stringify(week[0]));
  const rows = alike ? week.slice(0, 1) : week;
  return (
    <div className="day-picture" role="img" aria-label={`Quiet hours of ${of}: ${windowsInWords(windows)}`}>
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
    </div>
  );
}
