import type { components, paths } from './schema';

// What sign-in and the profile answer. These paths join the generated document when the server has them.
export interface Account {
  id: string;
  email: string;
  name: string;
  role: string;
}

export interface Session {
  account: Account;
  /** When it ends at the latest, RFC 3339. */
  expires_at: string;
}

type Problem = components['schemas']['Problem'];
type Answer<B> = { headers: { [name: string]: unknown }; content: { 'application/json': B } };
type Refusal = { headers: { [name: string]: unknown }; content: { 'application/problem+json': Problem } };
type Empty = { headers: { [name: string]: unknown }; content?: never };
type Operation<Body, Responses> = {
  parameters: { query?: never; header?: never; path?: never; cookie?: never };
  requestBody: Body extends never ? never : { content: { 'application/json': Body } };
  responses: Responses & { default: Refusal };
};
type Without = { parameters: { query?: never; header?: never; path?: never; cookie?: never }; requestBody?: never };

type SessionPaths = {
  '/session': {
    parameters: Without['parameters'];
    get: Without & { responses: { 200: Answer<Session>; default: Refusal } };
    post: Operation<{ email: string; password: string }, { 200: Answer<Session> }>;
    delete: Without & { responses: { 204: Empty; default: Refusal } };
  };
  '/profile': {
    parameters: Without['parameters'];
    put: Operation<{ name: string }, { 200: Answer<Account> }>;
  };
  '/profile/password': {
    parameters: Without['parameters'];
    put: Operation<{ current: string; new: string }, { 204: Empty }>;
  };
};

export type Paths = paths & SessionPaths;
