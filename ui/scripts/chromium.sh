#!/bin/sh
# Prints where Chromium is, and installs it first where it is missing and we may.
set -eu
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name"; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >&2
  command -v chromium
  exit 0
fi
echo "The browser tests need Chromium: install your system's package, or set CHROME_PATH to a Chrome." >&2
exit 1
