// Fails when the page loads more JavaScript at first than a phone on a bar's Wi-Fi should wait for.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const limit = 250 * 1024; // bytes, gzipped
const html = readFileSync(new URL('../dist/index.html', import.meta.url), 'utf8');
const scripts = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map((m) => m[1]);
if (scripts.length === 0) throw new Error('dist/index.html loads no script');
let total = 0;
for (const path of scripts) {
  const size = gzipSync(readFileSync(new URL(`../dist${path}`, import.meta.url))).length;
  total += size;
  console.log(`${(size / 1024).toFixed(1).padStart(7)} KB  ${path}`);
}
console.log(`${(total / 1024).toFixed(1).padStart(7)} KB  first load, gzipped; the limit is ${limit / 1024} KB`);
if (total > limit) process.exit(1);
