// What time it is at the server. A phone's own clock may be a day wrong: every answer's Date tells by how much, and that is
// kept for when there is no connection. Times are ms since 1970.

type Learned = { offset: number; contact: number };
const kept = 'lastcall-station-clock';

let learned: Learned | undefined = read();

/** Learns from an answer's Date, to the second. */
export function learn(date: string | null) {
  const server = Date.parse(date ?? '');
  if (Number.isNaN(server)) return;
  learned = { offset: server - Date.now(), contact: server };
  try {
    localStorage.setItem(kept, JSON.stringify(learned));
  } catch {
    // without room it is known for as long as the page is open
  }
}

/** The server's time, as far as this phone can tell. */
export const now = () => Date.now() + (learned?.offset ?? 0);

/** When the server was heard of last, by its time; 0: never. */
export const contact = () => learned?.contact ?? 0;

/** Whether the phone's clock was put back since the server was heard of: then nobody knows how late it is. */
export const putBack = () => now() < contact() - 60_000;

function read(): Learned | undefined {
  try {
    const found = JSON.parse(localStorage.getItem(kept) ?? '');
    return typeof found.offset === 'number' && typeof found.contact === 'number' ? found : undefined;
  } catch {
    return undefined;
  }
}
