import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Connect, Plugin, ProxyOptions } from 'vite';

// Stands in, on a developer's machine, for what a Lastcall does that serves the panel itself: it hands on
// calls to the API with the token of LASTCALL_TOKEN, keeps one sign-in, and serves the built page under the
// content security policy. Nothing of it is in the built panel.
export function standIn(api: string): Plugin {
  const token = process.env.LASTCALL_TOKEN;
  const session = makeSession();
  const proxy: ProxyOptions = {
    target: api,
    // A stream whose server is gone breaks off here too; it would hang.
    configure: (to) =>
      void to.on('proxyRes', (from, _req, res) => {
        from.on('close', () => void (from.complete || res.destroy()));
      }),
    headers: token ? { Authorization: `Bearer ${token}` } : undefined,
  };
  return {
    name: 'lastcall-stand-in',
    config: () => ({
      server: { host: '127.0.0.1', proxy: { '/api': proxy, '/healthz': proxy } },
      preview: { host: '127.0.0.1', proxy: { '/api': proxy, '/healthz': proxy } },
    }),
    configureServer: (server) => void (token && server.middlewares.use(session)),
    configurePreviewServer: (server) => {
      if (token) server.middlewares.use(session);
      server.middlewares.use(page(server.config.build.outDir));
    },
  };
}

/** The policy that a Lastcall serves the panel under. */
function policy(nonce: string) {
  return (
    `default-src 'self'; script-src 'self' 'nonce-${nonce}'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; ` +
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
  );
}

function page(dist: string): Connect.NextHandleFunction {
  return (req, res, next) => {
    const path = req.url?.split('?')[0] ?? '/';
    if (req.method !== 'GET' || path.startsWith('/api/') || path === '/healthz' || /\.\w+$/.test(path)) return next();
    const nonce = randomBytes(16).toString('base64');
    res.setHeader('Content-Type', 'text/html; charset=utf-8');
    res.setHeader('Content-Security-Policy', policy(nonce));
    res.end(readFileSync(join(dist, 'index.html'), 'utf8').replaceAll('__CSP_NONCE__', nonce));
  };
}

function makeSession(): Connect.NextHandleFunction {
  const password = process.env.LASTCALL_PASSWORD ?? 'last orders, please';
  const email = process.env.LASTCALL_EMAIL ?? 'ops@lastcall.example';
  const account = { id: '019ab000-0000-7000-8000-000000000001', email, name: 'Odile Keza', role: 'ops' };
  const cookie = 'stand-in=1';
  const known = (req: IncomingMessage) => req.headers.cookie?.includes(cookie) ?? false;

  return async (req, res, next) => {
    const path = req.url?.split('?')[0] ?? '';
    if (!path.startsWith('/api/v1/')) return next();
    if (path === '/api/v1/session' && req.method === 'POST') {
      const body = await read(req);
      if (body.email !== account.email || body.password !== password) {
        return problem(res, 401, 'wrong_credentials', 'the address or the password is wrong');
      }
      res.setHeader('Set-Cookie', `${cookie}; Path=/; HttpOnly; SameSite=Lax`);
      return answer(res, 200, { account, expires_at: new Date(Date.now() + 8 * 3600e3).toISOString() });
    }
    if (!known(req)) return problem(res, 401, 'not_signed_in', 'you are not signed in');
    if (path === '/api/v1/session' && req.method === 'GET') {
      return answer(res, 200, { account, expires_at: new Date(Date.now() + 8 * 3600e3).toISOString() });
    }
    if (path === '/api/v1/session' && req.method === 'DELETE') {
      res.setHeader('Set-Cookie', `${cookie}; Path=/; Max-Age=0`);
      res.statusCode = 204;
      return res.end();
    }
    if (path === '/api/v1/profile' && req.method === 'PUT') {
      account.name = String((await read(req)).name);
      return answer(res, 200, account);
    }
    if (path === '/api/v1/profile/password' && req.method === 'PUT') {
      const body = await read(req);
      if (body.current !== password) return problem(res, 422, 'wrong_password', 'this is not your password', 'current');
      res.statusCode = 204;
      return res.end();
    }
    return next();
  };
}

async function read(req: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of req) text += chunk;
  return JSON.parse(text || '{}');
}

function answer(res: ServerResponse, status: number, body: unknown) {
  res.statusCode = status;
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify(body));
}

function problem(res: ServerResponse, status: number, code: string, detail: string, field?: string) {
  res.statusCode = status;
  res.setHeader('Content-Type', 'application/problem+json');
  res.end(
    JSON.stringify({ title: 'Problem', status, code, detail, field, request_id: randomBytes(4).toString('hex') }),
  );
}
