import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

// The station app is a program of its own: it shares types and a few functions with the panel, and no file.
// `npm run dev:station` hands calls on to a running Lastcall.
const api = process.env.LASTCALL_API ?? 'http://127.0.0.1:8700';

export default defineConfig({
  root: 'src/station',
  base: '/station/',
  plugins: [react(), worker()],
  server: { host: '127.0.0.1', proxy: { '/api': api } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    outDir: '../../dist/station',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
  },
});

/** Writes sw.js, with the files that it is to keep. */
function worker(): Plugin {
  return {
    name: 'station-worker',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        // Letters that no page here is written in are fetched when somebody's name has them.
        const wanted = Object.keys(bundle).filter((name) => !/cyrillic|greek|vietnamese/.test(name));
        const hash = createHash('sha256');
        for (const name of wanted.sort()) {
          const file = bundle[name];
          hash.update(name).update(file?.type === 'chunk' ? file.code : (file?.source ?? ''));
        }
        const files = wanted.map((name) => (name === 'index.html' ? '/station/' : `/station/${name}`));
        const source = readFileSync(new URL('src/station/sw.js', import.meta.url), 'utf8')
          .replace('__VERSION__', hash.digest('hex').slice(0, 12))
          .replace('__FILES__', JSON.stringify(files));
        this.emitFile({ type: 'asset', fileName: 'sw.js', source });
      },
    },
  };
}
