import { once } from 'node:events';
import { request as plainRequest, type IncomingHttpHeaders } from 'node:http';
import { request as secureRequest } from 'node:https';
import { createConnection } from 'node:net';
import { jsonEvent } from '@eventstore/db-client';
import { testCertificate } from '../support/certificate';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

interface Reply {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const EVENT = { 'content-type': 'application/json', 'es-eventtype': 'Said' };

/** Plain HTTP to the port on which gRPC is served. */
describe.each([['encrypted'], ['not encrypted']])('requests to the gRPC door, %s', (how) => {
  const secure = how === 'encrypted';
  let door: TestDoor;
  let certificate: Buffer;
  beforeAll(async () => {
    const made = await testCertificate();
    ({ certificate } = made);
    const accounts = { ann: { password: 'secret', groups: [] } };
    door = await openTestDoor(secure ? { tls: { certificate, key: made.key }, accounts } : {});
  });
  afterAll(() => door.close());

  const ask = (
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body = '',
    auth = 'ann:secret',
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const target = {
        host: 'localhost',
        port: door.port,
        method,
        path,
        headers,
        auth,
        agent: false as const,
      };
      const request = secure ? secureRequest({ ...target, ca: [certificate] }) : plainRequest(target);
      request.on('error', reject).on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.on('end', () => {
          const { statusCode: status = 0, statusMessage: reason = '', headers: given } = response;
          resolve({ status, reason, headers: given, text });
        });
      });
      request.end(body);
    });

  it('say that it is a single leader, and where', async () => {
    const { status, text } = await ask('GET', '/gossip', {}, '', '');
    expect(status).toBe(200);
    const { members, ...server } = JSON.parse(text) as { members: object[] };
    expect(server).toEqual({ serverIp: '127.0.0.1', serverPort: door.port });
    const place = { httpEndPointIp: '127.0.0.1', httpEndPointPort: door.port };
    expect(members).toEqual([expect.objectContaining({ state: 'Leader', isAlive: true, ...place })]);
  });

  it('say that it lives, and which version it speaks', async () => {
    expect(await ask('GET', '/health/live')).toMatchObject({ status: 204 });
    expect(JSON.parse((await ask('GET', '/ping')).text)).toMatchObject({
      text: expect.any(String) as string,
    });
    expect(JSON.parse((await ask('GET', '/info')).text)).toMatchObject({
      esVersion: expect.any(String) as string,
    });
    expect(await ask('POST', '/nowhere')).toMatchObject({ status: 404, reason: 'Not Found' });
  });

  it('append one event, whatever is in it', async () => {
    const answer = await ask('POST', '/streams/notes', EVENT, '****');
    expect(answer).toMatchObject({ status: 201, headers: { location: '/streams/notes/0' } });
    const page = await door.store.readStream('notes', { limit: 10 });
    const events = page.kind === 'events' ? page.events : [];
    expect(events.map(({ type, isJson, data }) => ({ type, isJson, data: data.toString() }))).toEqual([
      { type: 'Said', isJson: true, data: '****' },
    ]);
  });

  it('append several, at an expected revision, once', async () => {
    const events = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'].map(
      (eventId) => ({
        eventId,
        eventType: 'Said',
        data: { n: 1 },
        metadata: { m: 1 },
      }),
    );
    const headers = { 'content-type': 'application/vnd.eventstore.events+json', 'es-expectedversion': '-1' };
    for (let n = 0; n < 2; n++) {
      const answer = await ask('POST', '/streams/several%20of', headers, JSON.stringify(events));
      expect(answer).toMatchObject({ status: 201, headers: { location: '/streams/several%20of/1' } });
    }
    const other = { ...EVENT, 'es-expectedversion': '0' };
    const refused = await ask('POST', '/streams/several%20of', other, '{}');
    expect(refused).toMatchObject({ status: 400, headers: { 'es-currentversion': '1' } });
    expect(await door.revisions('several of')).toEqual([0, 1]);
  });

  it.each([
    ['no type', { 'content-type': 'application/json' }, '{}', 400],
    ['no list of events', { 'content-type': 'application/vnd.eventstore.events+json' }, '{}', 400],
    ['no revision', { ...EVENT, 'es-expectedversion': '1.5' }, '{}', 400],
    ['no id', { ...EVENT, 'es-eventid': 'x' }, '{}', 400],
    ['a page in a browser that asks', { ...EVENT, origin: 'http://127.0.0.1' }, '{}', 403],
    ['more than an append may have', EVENT, 'x'.repeat(1_048_577), 413],
    ['a body without an end', EVENT, 'x'.repeat(4_000_000), 413],
  ])('refuse %s', async (_why, headers, body, status) => {
    const before = door.store.head;
    const answered = ask('POST', '/streams/refused', headers, body).then(
      (answer) => answer.status,
      // Whoever still sends when the answer is there may see the connection end instead.
      (error: unknown) => (status === 413 && error instanceof Error && 'code' in error ? 413 : 0),
    );
    expect(await answered).toBe(status);
    expect(door.store.head).toBe(before);
  });

  if (secure) {
    it('need an account, and one that may write', async () => {
      const denied = await ask('POST', '/streams/notes', EVENT, '{}', 'ann:wrong');
      expect(denied).toMatchObject({ status: 401 });
      expect(await ask('POST', '/streams/$system', EVENT, '{}')).toMatchObject({ status: 403 });
    });
  } else {
    it('are told from gRPC however slowly their first bytes come, and disturb nobody', async () => {
      const socket = createConnection({ host: '127.0.0.1', port: door.port, noDelay: true });
      const answered = once(socket, 'data') as Promise<[Buffer]>;
      for (const byte of 'PING / HTTP/1.1\r\n\r\n') {
        socket.write(byte);
        await door.client.appendToStream('meanwhile', jsonEvent({ type: 'Said', data: {} }));
      }
      expect((await answered).toString()).toMatch(/^HTTP\/1\.1 400/);
      socket.destroy();
    });
  }
});
