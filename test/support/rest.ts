import { validateResponse } from './contract-validator';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; undefined for an empty body. */
  readonly body: never;
}

/**
 * A plain REST caller for tests: no retries, no throwing on a status. Every answer is held against the published
 * OpenAPI document; one that is not in it is an error of the server's, and thrown.
 */
export async function call(
  base: string,
  method: string,
  path: string,
  options: {
    readonly token?: string;
    readonly body?: unknown;
    readonly headers?: Record<string, string>;
  } = {},
): Promise<Answer> {
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  const body = (text === '' ? undefined : JSON.parse(text)) as never;
  await validateResponse(method, path, response.status, body);
  return { status: response.status, headers: response.headers, body };
}

export interface TestUser {
  readonly id: string;
  readonly username: string;
  readonly token: string;
  readonly refreshToken: string;
}

let counter = 0;

/** Registers a user under a fresh name. */
export async function registerUser(base: string, name = 'user'): Promise<TestUser> {
  const username = `${name}-${process.pid}-${Date.now().toString(36)}-${++counter}`;
  const { status, body } = await call(base, 'POST', '/api/v1/auth/register', {
    body: { username, password: 'correct horse battery' },
  });
  if (status !== 201) throw new Error(`register answered ${status}: ${JSON.stringify(body)}`);
  const signedIn = body as { user: { id: string }; accessToken: string; refreshToken: string };
  return {
    id: signedIn.user.id,
    username,
    token: signedIn.accessToken,
    refreshToken: signedIn.refreshToken,
  };
}
