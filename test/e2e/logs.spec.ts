import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { CLIENT_FRAME_NAMES, type ClientFrameName } from '../../src/protocol/frames';
import { freshEventStoreEnvironment } from '../support/event-store-under-test';
import { RawDevice } from '../support/raw-device';
import { eventually } from '../support/sdk-device';
import { buildServer, freePort, ServerProcess } from '../support/server-process';

interface Line {
  readonly level: number;
  readonly msg?: string;
  readonly [field: string]: unknown;
}

interface Person {
  readonly id: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

/** In every text that people write, and in every password: what may never turn up in a log. */
const TAG = `tagged-${randomUUID().slice(0, 8)}`;
const text = (): string => `${TAG} ${randomUUID()}`;
const ERROR_LEVEL = 50;

/** The program with its log wide open, driven through everything it can do and much that it cannot. */
describe('the log', () => {
  let folder: string;
  let server: ServerProcess;
  let collector: Server;
  const traced: string[] = [];
  let ann: Person;
  let bob: Person;
  let conversationId: string;

  const lines = (): Line[] =>
    server.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Line);
  const request = async (
    method: string,
    path: string,
    body?: unknown,
    token = ann.accessToken,
  ): Promise<{ status: number; body: Record<string, unknown>; id: string | null }> => {
    const response = await fetch(server.url + path, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const answered = await response.text();
    const id = response.headers.get('x-request-id');
    const parsed =
      response.headers.get('content-type')?.includes('json') === true ? (JSON.parse(answered) as object) : {};
    return { status: response.status, body: parsed as Record<string, unknown>, id };
  };
  const register = async (name: string): Promise<Person> => {
    const body = { username: `${name}-${TAG}`, password: text(), displayName: TAG };
    const { body: answer } = await request('POST', '/api/v1/auth/register', body, '');
    return { ...(answer as unknown as Person), id: (answer['user'] as { id: string }).id };
  };
  const sql = async (statement: string): Promise<void> => {
    const at = async (name: string): Promise<string> =>
      (await readFile(join(folder, 'postgres', name), 'utf8')).trim();
    const url = `postgres://parley:${await at('password')}@127.0.0.1:${await at('port')}/parley`;
    const pool = new Pool({ connectionString: url, max: 1 });
    try {
      await pool.query(statement);
    } finally {
      await pool.end();
    }
  };

  beforeAll(async () => {
    const build = await buildServer();
    folder = await mkdtemp(join(tmpdir(), 'parley-logs-'));
    collector = createServer((message, response) => {
      message.on('data', (chunk: Buffer) => traced.push(chunk.toString('latin1')));
      message.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
    }).listen(0, '127.0.0.1');
    await once(collector, 'listening');
    server = new ServerProcess(join(build, 'src', 'main.js'), {
      DATA_DIR: folder,
      ...freshEventStoreEnvironment(),
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      LOG_LEVEL: 'trace',
      RATE_LIMITS: 'off',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_TRACES_SAMPLER: 'always_on',
    });
    await server.ready();
    [ann, bob] = await Promise.all([register('ann'), register('bob')]);
    const group = { kind: 'group', title: text(), memberIds: [bob.id] };
    conversationId = (await request('POST', '/api/v1/conversations', group)).body['id'] as string;
  });
  afterAll(async () => {
    await server.destroy();
    collector.closeAllConnections();
    collector.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('has no body, token or password after every route, rightly and wrongly called', async () => {
    const document = await request('GET', '/api/openapi.json');
    const paths = Object.entries(document.body['paths'] as Record<string, Record<string, unknown>>);
    expect(paths.length).toBeGreaterThan(20);
    const content = (): object => ({ type: 'text', body: text() });
    // One to be left, renamed and emptied.
    const group = { kind: 'group', title: text(), memberIds: [bob.id] };
    const subject = (await request('POST', '/api/v1/conversations', group)).body['id'] as string;
    for (const [template, operations] of paths) {
      if (template.includes('logout')) continue;
      const path = template
        .replace('{id}', template.includes('/users/') ? bob.id : subject)
        .replace('{userId}', bob.id)
        .replace('{seq}', '1')
        .replace('{emoji}', encodeURIComponent('👍'))
        .replace('{deviceId}', randomUUID());
      for (const method of Object.keys(operations).map((name) => name.toUpperCase())) {
        const bodies = [
          { content: content(), title: text(), displayName: TAG, password: text(), refreshToken: text() },
        ];
        const right = { content: content(), clientMessageId: randomUUID() };
        for (const body of method === 'GET'
          ? [undefined]
          : [right, { content: content() }, ...bodies, `{"${TAG}`]) {
          await request(method, path, body);
          await request(method, `${path}?query=${TAG}&cursor=${TAG}`, body, TAG);
        }
      }
    }
    await request('POST', '/api/v1/auth/login', { username: `ann-${TAG}`, password: text() }, '');
    await request('POST', '/api/v1/auth/refresh', { refreshToken: ann.refreshToken.slice(1) }, '');
    expectNoSecrets();
  });

  it('has none after every frame, rightly and wrongly made', async () => {
    const a = await RawDevice.signIn(server.url, ann.accessToken);
    const b = await RawDevice.signIn(server.url, bob.accessToken);
    const content = (): object => ({ type: 'text', body: text() });
    const target = (
      await a.request('message.send', { conversationId, clientMessageId: randomUUID(), content: content() })
    ).data['seq'] as number;
    const data: Record<ClientFrameName, object> = {
      auth: { token: TAG, deviceId: 'd' },
      sync: { cursors: { [conversationId]: 0 } },
      'message.send': { to: bob.id, clientMessageId: randomUUID(), content: content() },
      'message.edit': { conversationId, target, content: content() },
      'message.delete': { conversationId, target: 9_999, scope: 'everyone' },
      'reaction.set': { conversationId, target, emoji: '👍', on: true },
      delivered: { cursors: { [conversationId]: target } },
      read: { conversationId, upTo: target },
      typing: { conversationId, isTyping: true },
      focus: { conversationId },
      unfocus: { conversationId },
      'presence.set': { status: 'busy', customStatus: text() },
      'presence.watch': { userIds: [bob.id] },
      'presence.unwatch': { userIds: [bob.id] },
      'call.signal': { conversationId, callId: 'c', toUserId: bob.id, signal: { sdp: text() } },
      reauth: { token: ann.accessToken },
      ping: {},
    };
    expect(Object.keys(data).sort()).toEqual([...CLIENT_FRAME_NAMES].sort());
    for (const [event, given] of Object.entries(data)) {
      if (event === 'typing') a.sendText(JSON.stringify({ event, data: given }));
      else await a.request(event, given);
      await a.request(event, { ...given, [TAG]: TAG, content: TAG });
      await a.request(TAG, given);
    }
    for (const frame of [TAG, `{"event":"${TAG}`, `["${TAG}"]`]) {
      const stranger = await RawDevice.open(server.url);
      stranger.sendText(frame);
      await stranger.waitForClose();
    }
    const refused = lines().find(({ frame, code }) => frame === 'message.delete' && code === 'not_found');
    expect(refused).toMatchObject({ userId: ann.id, conversationId, msg: 'a frame was refused' });
    await Promise.all([a.close(), b.close()]);
    expectNoSecrets();
  });

  it('has none when PostgreSQL refuses a row: the projector, a request and Postgres itself tell no values', async () => {
    const constraint = `CHECK (content::text NOT LIKE '%poison%')`;
    await sql(`ALTER TABLE read.history_messages ADD CONSTRAINT not_poisoned ${constraint} NOT VALID`);
    await sql(
      `ALTER TABLE app.users ADD CONSTRAINT short_names CHECK (display_name NOT LIKE '%poison%') NOT VALID`,
    );
    const body = { clientMessageId: randomUUID(), content: { type: 'text', body: `poison ${text()}` } };
    expect((await request('POST', `/api/v1/conversations/${conversationId}/messages`, body)).status).toBe(
      201,
    );
    const failed = await request('PATCH', '/api/v1/users/me', { displayName: `poison ${text()}` });
    expect(failed.status).toBe(500);
    const poison = await eventually('the poisoned event in the log', () =>
      lines().find(({ msg }) => msg?.includes('cannot be projected')),
    );
    expect(poison['stream']).toBe(`conversation-${conversationId}`);
    expect(JSON.stringify(poison['error'])).toContain('23514');
    const line = await eventually('the failed request in the log', () =>
      lines().find(({ traceId, level }) => traceId === failed.body['traceId'] && level >= ERROR_LEVEL),
    );
    expect(line).toMatchObject({ msg: 'a request failed' });
    expect(JSON.stringify(line)).toContain('short_names');
    await sql('ALTER TABLE read.history_messages DROP CONSTRAINT not_poisoned');
    expectNoSecrets();
  });

  it('names request, user, conversation and trace', async () => {
    const path = `/api/v1/conversations/${conversationId}/messages`;
    const { id } = await request('GET', path);
    const line = await eventually('the line of the request', () =>
      lines().find(({ req }) => (req as { id?: unknown } | undefined)?.id === id),
    );
    expect(line).toMatchObject({ req: { id, method: 'GET', path }, userId: ann.id, conversationId });
    expect(line['traceId']).toMatch(/^[0-9a-f]{32}$/);
  });

  it('ends in good order, and what is traced tells no secrets either', async () => {
    server.signal('SIGTERM');
    expect(await server.exit()).toBe(0);
    expect(traced.length).toBeGreaterThan(0);
    expect(traced.join('')).toContain('command SendMessage');
    expect(traced.join('')).not.toContain(TAG);
    expectNoSecrets();
  });

  function expectNoSecrets(): void {
    expect(lines().length).toBeGreaterThan(10);
    const secrets = [TAG, ann.accessToken, bob.accessToken, ann.refreshToken.slice(1), 'argon2'];
    const leaks = server.output.split('\n').filter((line) => secrets.some((secret) => line.includes(secret)));
    expect(leaks).toEqual([]);
  }
});
