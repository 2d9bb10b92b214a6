import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` hands calls on to a running Lastcall, at the address that `lastcall up` prints.
const api = process.env.LASTCALL_API ?? 'http://127.0.0.1:8700';

export default defineConfig({
  plugins: [react()],
  server: { host: '127.0.0.1', proxy: { '/api': api, '/healthz': api } },
  // The server replaces the placeholder in index.html, in every answer anew.
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // font-src is 'self': no data: addresses
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
            { name: 'tanstack', test: /node_modules\/@tanstack\// },
          ],
        },
      },
    },
  },
  test: { include: ['src/**/*.test.ts'] },
});
