// How many vouchers wait to be sent, in a cookie. A browser that clears a site's storage for want of room takes the outbox
// with it and leaves cookies alone: then at least somebody is told.

const name = 'lastcall_waiting';

/** Notes how many wait, in the storage of this name. */
export function note(n: number, box: string) {
  const lives = n > 0 ? 30 * 86_400 : 0;
  // biome-ignore lint/suspicious/noDocumentCookie: older phones have no CookieStore, and this is read before anything else
  document.cookie = `${name}=${n}/${box}; Path=/station/; SameSite=Strict; Max-Age=${lives}`;
}

/** How many waited when that was last noted, and in which storage. */
export function noted(): { n: number; box: string } {
  const found = document.cookie.split('; ').find((c) => c.startsWith(`${name}=`));
  const [n, box = ''] = found?.slice(name.length + 1).split('/') ?? [];
  return { n: Number(n) || 0, box };
}
