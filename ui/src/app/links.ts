/**
 * What the address held behind its # when the panel was opened: the secret of a link from a mail. Browsers send it nowhere;
 * here it leaves the address, too, so that neither the history nor a shoulder has it.
 */
export const linkToken = leads() ? location.hash.slice(1) : '';

function leads() {
  return ['/welcome', '/reset'].includes(location.pathname);
}

if (leads()) {
  if (linkToken) history.replaceState(null, '', location.pathname);
  addEventListener('hashchange', () => location.reload()); // another link, opened in the same tab
}
