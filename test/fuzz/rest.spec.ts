import { gzipSync } from 'node:zlib';
import { registerUser, type TestUser } from '../support/rest';
import { validateResponse } from '../support/contract-validator';
import { startTestNode, type TestNode } from '../support/test-node';
import { Neighbours } from './neighbours';
import { RawSocket } from './raw-socket';

interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** What can be wrong with REST, down to the bytes: one of PROTOCOL.md's codes in its one shape, and nothing else. */
describe('bad REST', () => {
  let node: TestNode;
  let neighbours: Neighbours;
  let user: TestUser;

  beforeAll(async () => {
    node = await startTestNode();
    neighbours = await Neighbours.on(node);
    user = await registerUser(node.url, 'bad');
  });
  afterEach(async () => {
    await neighbours.chat();
  });
  afterAll(async () => {
    await neighbours.leave();
    await node.stop();
  });

  /** Sends bytes as they are, and reads one answer, which ends with the connection. */
  const http = async (bytes: string | Buffer, end = false): Promise<HttpAnswer> => {
    const socket = new RawSocket(node.url);
    socket.write(bytes);
    if (end) socket.end();
    await socket.closed();
    const text = socket.bytes.toString('utf8');
    const [head = '', ...rest] = text.split('\r\n\r\n');
    return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0), head, body: rest.join('\r\n\r\n') };
  };
  const request = (method: string, path: string, headers: readonly string[], body = ''): string =>
    [
      `${method} ${path} HTTP/1.1`,
      'Host: 127.0.0.1',
      'Connection: close',
      `Authorization: Bearer ${user.token}`,
      ...headers,
      '',
      body,
    ].join('\r\n');
  const json = 'Content-Type: application/json';
  const START = '/api/v1/conversations';
  const problemOf = ({ head, body }: HttpAnswer): Record<string, unknown> => {
    expect(head.toLowerCase()).toContain('content-type: application/problem+json');
    const problem = JSON.parse(body) as Record<string, unknown>;
    expect(problem).toEqual(
      expect.objectContaining({
        type: expect.stringMatching(/^\/problems\//) as string,
        title: expect.any(String) as string,
        detail: expect.any(String) as string,
        retryable: expect.any(Boolean) as boolean,
      }),
    );
    expect(body).not.toContain('node_modules');
    return problem;
  };

  const long = 'x'.repeat(200_000);
  const good = JSON.stringify({ kind: 'group', memberIds: [] });
  const zipped = gzipSync(Buffer.alloc(50_000_000));
  it.each<[string, number, string, () => string | Buffer]>([
    [
      'a wrong content type',
      400,
      'invalid_input',
      () => request('POST', START, ['Content-Type: text/xml', `Content-Length: ${good.length}`], good),
    ],
    [
      'no content type',
      400,
      'invalid_input',
      () => request('POST', START, [`Content-Length: ${good.length}`], good),
    ],
    [
      'a wrong charset',
      400,
      'invalid_input',
      () => request('POST', START, [`${json}; charset=shift_jis`, `Content-Length: ${good.length}`], good),
    ],
    [
      'a gzip bomb',
      400,
      'invalid_input',
      () => {
        const headers = [json, 'Content-Encoding: gzip', `Content-Length: ${zipped.length}`];
        return Buffer.concat([Buffer.from(request('POST', START, headers)), zipped]);
      },
    ],
    [
      'chunked with Content-Length',
      400,
      'invalid_input',
      () => request('POST', START, [json, 'Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ],
    [
      'two Content-Lengths',
      400,
      'invalid_input',
      () => request('POST', START, [json, 'Content-Length: 2', 'Content-Length: 3'], '{}'),
    ],
    [
      'a chunk size that is none',
      400,
      'invalid_input',
      () => request('POST', START, [json, 'Transfer-Encoding: chunked'], 'zz\r\n{}\r\n0\r\n\r\n'),
    ],
    [
      'a body over the limit',
      413,
      'too_large',
      () => request('POST', START, [json, `Content-Length: ${long.length}`], long),
    ],
    ['no JSON', 400, 'invalid_input', () => request('POST', START, [json, 'Content-Length: 1'], '{')],
    [
      'a body that is no UTF-8',
      400,
      'invalid_input',
      () =>
        Buffer.concat([
          Buffer.from(request('POST', START, [json, 'Content-Length: 4'])),
          Buffer.from([0x22, 0xff, 0xfe, 0x22]),
        ]),
    ],
    ['headers over the limit', 413, 'too_large', () => request('GET', START, [`X-Large: ${long}`])],
    ['a URL over the limit', 413, 'too_large', () => request('GET', `${START}?cursor=${long}`, [])],
    ['no HTTP', 400, 'invalid_input', () => 'hello\r\n\r\n'],
    ['a header without a name', 400, 'invalid_input', () => request('GET', START, [': x'])],
    ['a line end within a header', 400, 'invalid_input', () => request('GET', START, ['X-Split: a\nb: c'])],
    ['no host', 400, 'invalid_input', () => 'GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ])('%s is %i %s', async (_name, status, code, bytes) => {
    const answer = await http(bytes());
    expect(answer.status).toBe(status);
    expect(problemOf(answer)).toMatchObject({ status, code });
  });

  it('half a body, and then nothing, ends with the connection', async () => {
    const answer = await http(request('POST', START, [json, 'Content-Length: 100'], '{"kind":'), true);
    expect([0, 400]).toContain(answer.status);
  });

  const nowhere = '01938f3a-0000-7000-8000-000000000001';
  it.each<[string, string, number]>([
    ['limit -1', `${START}?limit=-1`, 400],
    ['limit 0', `${START}?limit=0`, 400],
    ['limit 1e9', `${START}?limit=1e9`, 400],
    ['limit 1000000000', `${START}?limit=1000000000`, 400],
    ['limit 007', `${START}?limit=007`, 400],
    ['a repeated parameter', `${START}?limit=1&limit=2`, 400],
    ['an array parameter', `${START}?limit[]=1`, 400],
    ['an object parameter', `${START}?limit[a]=1`, 400],
    ['__proto__ as a parameter', `${START}?__proto__[x]=1`, 400],
    ['a forged cursor', `${START}?cursor=AAAA`, 400],
    ['a cursor cut short', `${START}?cursor=eyJh`, 400],
    ['a cursor of control characters', `${START}?cursor=%00%01`, 400],
    ['an unknown parameter', `${START}?extra=1`, 400],
    ['a place that is no number', `${START}/${nowhere}/messages?before=yesterday`, 400],
    ['a date for a place', `${START}/${nowhere}/messages?after=2026-13-45T99:99:99Z`, 400],
    ['a broken percent code', `${START}/%zz`, 400],
    ['an unknown route', '/api/v1/secrets', 404],
    ['a trailing dot', `${START}.`, 404],
    ['a conversation with a trailing dot', `${START}/${nowhere}.`, 404],
    ['an encoded slash', `${START}%2f${nowhere}`, 404],
    ['a path that climbs', '/api/v1/../../etc/passwd', 404],
    ['an encoded path that climbs', '/%2e%2e/%2e%2e/etc/passwd', 404],
    ['an upper-case twin of an id', `${START}/${nowhere.toUpperCase()}`, 404],
    ['an id that is none', `${START}/1`, 404],
    ['U+0000 in an id', `${START}/%00`, 404],
    ['a seq of 2^64', `${START}/${nowhere}/messages/18446744073709551616/receipts`, 400],
  ])('GET with %s', async (_name, path, status) => {
    const answer = await http(request('GET', path, []));
    expect([answer.status, problemOf(answer)['status']]).toEqual([status, status]);
  });

  it.each<[string, readonly number[]]>([
    ['HEAD', [200, 404]],
    ['OPTIONS', [200, 204]],
    ['TRACE', [404, 405]],
    ['PROPFIND', [404, 405]],
    ['DELETE', [404, 405]],
    ['BREW', [400, 404, 405]],
  ])('%s on a route that has none of it', async (method, allowed) => {
    const answer = await http(request(method, START, []));
    expect(allowed).toContain(answer.status);
    if (answer.status >= 400 && method !== 'HEAD') problemOf(answer);
    expect(answer.body).not.toContain(user.token);
  });

  it('an Idempotency-Key with another body is refused', async () => {
    const other = await registerUser(node.url, 'other');
    const made = await http(post(START, { kind: 'direct', memberIds: [other.id] }));
    const { id } = JSON.parse(made.body) as { id: string };
    const send = (body: string): Promise<HttpAnswer> =>
      http(post(`${START}/${id}/messages`, { content: { type: 'text', body } }, ['Idempotency-Key: once']));
    const [first, again, different] = [await send('one'), await send('one'), await send('two')];
    expect([first.status, again.status, different.status]).toEqual([201, 200, 409]);
    expect(problemOf(different)).toMatchObject({ code: 'client_message_id_reused' });
    await validateResponse('POST', `${START}/${id}/messages`, 409, JSON.parse(different.body));
    const tooLong = await http(
      post(`${START}/${id}/messages`, { content: { type: 'text', body: 'x' } }, [
        `Idempotency-Key: ${'k'.repeat(65)}`,
      ]),
    );
    expect(problemOf(tooLong)).toMatchObject({ status: 400, code: 'invalid_input' });
  });
  const post = (path: string, body: object, headers: readonly string[] = []): string => {
    const text = JSON.stringify(body);
    return request('POST', path, [json, `Content-Length: ${Buffer.byteLength(text)}`, ...headers], text);
  };
});
