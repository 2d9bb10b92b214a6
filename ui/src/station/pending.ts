// How many vouchers wait to be sent, in a cookie. A browser that clears a site's storage for want of room takes the outbox
// with it and leaves cookies alone: then at least somebody is told.

const name = 'lastcall_waiting';

/** Notes how many wait. */
export function note(n: number) {
  const lives = n > 0 ? 30 * 86_400 : 0;
  // biome-ignore lint/suspicious/noDocumentCookie: older phones have no CookieStore, and this is read before anything else
  document.cookie = `${name}=${n}; Path=/station/; SameSite=Strict; Max-Age=${lives}`;
}

/** How many waited when that was last noted. */
export function noted(): number {
  const found = document.cookie.split('; ').find((c) => c.startsWith(`${name}=`));
  return Number(found?.slice(name.length + 1)) || 0;
}
