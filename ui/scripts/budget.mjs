// Fails when a page loads more JavaScript at first than a phone on a bar's Wi-Fi should wait for.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

check('index.html', 250); // KB, gzipped
check('station/index.html', 100);

function check(page, limit) {
  const html = readFileSync(new URL(`../dist/${page}`, import.meta.url), 'utf8');
  const scripts = [...html.matchAll(/(?:src|href)="(\/(?:station\/)?assets\/[^"]+\.js)"/g)].map((m) => m[1]);
  if (scripts.length === 0) throw new Error(`dist/${page} loads no script`);
  let total = 0;
  for (const path of scripts) {
    const size = gzipSync(readFileSync(new URL(`../dist${path}`, import.meta.url))).length;
    total += size;
    console.log(`${(size / 1024).toFixed(1).padStart(7)} KB  ${path}`);
  }
  console.log(`${(total / 1024).toFixed(1).padStart(7)} KB  first load of ${page}, gzipped; the limit is ${limit} KB`);
  if (total > limit * 1024) process.exitCode = 1;
}
