import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Logger } from '@nestjs/common';
import { validateResponse } from '../../test/support/contract-validator';
import { ME, startHttpApp, TOKEN, type TestHttpApp } from '../../test/support/http-app';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import { DEFAULT_LIMITS } from '../protocol/limits';
import { BODY_ROOM_BYTES } from './edge';
import { DEFAULT_PRIVACY } from '../identity/user';

const ID = '019a0000-0000-7000-8000-000000000001';
const CONVERSATION = `/api/v1/conversations/${ID}`;
const BODY_BYTES_MAX = DEFAULT_LIMITS.frameBytesMax + BODY_ROOM_BYTES;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly code?: string; readonly errors?: readonly { field: string }[] } & Record<
    string,
    unknown
  >;
}

describe('REST and bad input', () => {
  let http: TestHttpApp;
  beforeAll(async () => {
    http = await startHttpApp();
  });
  afterAll(() => http.stop());
  beforeEach(() => {
    jest.resetAllMocks();
  });

  /** Node's own client: it sends what it is told, also what `fetch` would put right. */
  async function call(
    method: string,
    path: string,
    options: { readonly body?: string | Buffer; readonly headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const headers = {
        authorization: `Bearer ${TOKEN}`,
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      };
      const outgoing = httpRequest(
        { host: '127.0.0.1', port: http.port, method, path, headers },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const isJson = incoming.headers['content-type']?.includes('json') === true && text !== '';
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: (isJson ? JSON.parse(text) : { text }) as Answer['body'],
            });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(options.body);
    });
    return answer;
  }

  /** Whatever is refused is refused in one shape, and nothing beneath has heard of it. */
  function expectProblem(answer: Answer, status: number, code: string, field?: string): void {
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.body).toMatchObject({
      type: `/problems/${code.replaceAll('_', '-')}`,
      title: expect.any(String) as string,
      status,
      detail: expect.any(String) as string,
      retryable: expect.any(Boolean) as boolean,
      traceId: expect.stringMatching(/^[0-9a-f-]{32,36}$/) as string,
    });
    if (field !== undefined) expect(answer.body.errors).toContainEqual(expect.objectContaining({ field }));
    expect(answer.headers['x-powered-by']).toBeUndefined();
    expect(http.commands['execute']).not.toHaveBeenCalled();
    expect(http.queries['execute']).not.toHaveBeenCalled();
  }

  const text = (body: string): string =>
    JSON.stringify({ clientMessageId: 'a', content: { type: 'text', body } });

  describe('bodies', () => {
    it.each<readonly [string, string | Buffer, Record<string, string>]>([
      ['not JSON', '{"upTo":', {}],
      ['empty', '', {}],
      ['null', 'null', {}],
      ['a number', '7', {}],
      ['a text', '"upTo"', {}],
      ['an array', '[]', {}],
      ['trailing bytes', '{"upTo":1}x', {}],
      ['nested 30,000 deep', '['.repeat(30_000) + ']'.repeat(30_000), {}],
      ['deep inside a field', `{"upTo":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, {}],
      ['without the field', '{}', {}],
      ['with another field', '{"upTo":1,"by":"me"}', {}],
      ['__proto__', '{"upTo":1,"__proto__":{"upTo":2}}', {}],
      ['constructor', '{"upTo":1,"constructor":{}}', {}],
      ['text for a number', '{"upTo":"1"}', {}],
      ['a negative number', '{"upTo":-1}', {}],
      ['a fraction', '{"upTo":1.5}', {}],
      ['infinity', '{"upTo":1e309}', {}],
      ['2^53', '{"upTo":9007199254740992}', {}],
      ['a wrong content type', '{"upTo":1}', { 'content-type': 'text/plain' }],
      ['a form', 'upTo=1', { 'content-type': 'application/x-www-form-urlencoded' }],
      ['a lookalike content type', '{"upTo":1}', { 'content-type': 'application/jsonx' }],
      ['a wrong charset', '{"upTo":1}', { 'content-type': 'application/json; charset=iso-8859-1' }],
      ['a charset of nonsense', '{"upTo":1}', { 'content-type': 'application/json; charset=__proto__' }],
      ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), {}],
      ['a gzip bomb', gzipSync(Buffer.alloc(10_000_000, 0x20)), { 'content-encoding': 'gzip' }],
      ['an unknown encoding', '{"upTo":1}', { 'content-encoding': 'constructor' }],
    ])('refuses: %s', async (_what, body, headers) => {
      const answer = await call('POST', `${CONVERSATION}/read`, { body, headers });
      expectProblem(answer, 400, 'invalid_input');
      await validateResponse('POST', `${CONVERSATION}/read`, answer.status, answer.body);
    });

    it('refuses a body of one byte over the limit, and reads one at the limit', async () => {
      const frame = '{"upTo":-1}';
      const atLimit = frame + ' '.repeat(BODY_BYTES_MAX - frame.length);
      expectProblem(
        await call('POST', `${CONVERSATION}/read`, { body: atLimit }),
        400,
        'invalid_input',
        'upTo',
      );
      expectProblem(await call('POST', `${CONVERSATION}/read`, { body: `${atLimit} ` }), 413, 'too_large');
    });

    it('refuses text that cannot be stored, wherever it is', async () => {
      for (const bad of ['\\u0000', '\\ud800', 'x\\udc00']) {
        const body = `{"username":"ann","password":"long enough","displayName":"${bad}"}`;
        expectProblem(
          await call('POST', '/api/v1/auth/register', { body }),
          400,
          'invalid_input',
          'displayName',
        );
        const message = `{"clientMessageId":"a","content":{"type":"text","body":"${bad}"}}`;
        expectProblem(
          await call('POST', `${CONVERSATION}/messages`, { body: message }),
          400,
          'invalid_input',
        );
        const key = `{"clientMessageId":"a","content":{"type":"encrypted","ciphertext":"x","scheme":"s","${bad}":1}}`;
        expectProblem(await call('POST', `${CONVERSATION}/messages`, { body: key }), 400, 'invalid_input');
      }
      expect(http.accounts['register']).not.toHaveBeenCalled();
    });

    it('refuses message contents that the protocol does not know', async () => {
      const contents = [
        '{"type":"system","body":"x"}',
        '{"type":"text"}',
        '{"type":"text","body":" \\n\\t"}',
        '{"type":"text","body":"x","extra":1}',
        '{"type":"encrypted","ciphertext":"x","scheme":"s","more":{"deep":1}}',
        '{"type":"file","fileId":"../x","name":"x","mediaType":"a/b","size":1}',
      ];
      for (const content of contents) {
        const body = `{"clientMessageId":"a","content":${content}}`;
        expectProblem(await call('POST', `${CONVERSATION}/messages`, { body }), 400, 'invalid_input');
      }
      const over = '€'.repeat(Math.ceil(DEFAULT_LIMITS.bodyBytesMax / 3));
      const answer = await call('POST', `${CONVERSATION}/messages`, { body: text(over) });
      expectProblem(answer, 400, 'invalid_input', 'content.body');
    });

    it('wants one key for a message, under either name', async () => {
      const post = (key: string | undefined, field: string | undefined) =>
        call('POST', `${CONVERSATION}/messages`, {
          body: JSON.stringify({ content: { type: 'text', body: 'x' }, clientMessageId: field }),
          headers: key === undefined ? {} : { 'idempotency-key': key },
        });
      expectProblem(await post(undefined, undefined), 400, 'invalid_input', 'clientMessageId');
      expectProblem(await post('one', 'other'), 400, 'invalid_input', 'clientMessageId');
      for (const key of ['', 'a b', 'x'.repeat(65), '"', '""', '"a', 'a"', '%00']) {
        expectProblem(await post(key, undefined), 400, 'invalid_input', 'Idempotency-Key');
      }
    });
  });

  describe('paths and queries', () => {
    it.each([
      '/api',
      '/api/v1',
      '/api/v1/nothing',
      '/api/v1/conversations/not-a-uuid',
      `/api/v1/conversations/${ID.toUpperCase()}`,
      `/api/v1/conversations/${ID}.`,
      '/api/v1/conversations/%2e%2e%2fusers',
      '/api/v1/conversations/..%2f..%2fetc%2fpasswd',
      "/api/v1/conversations/'%20OR%201=1",
      `/api/v1/users/${'9'.repeat(5_000)}`,
      '//evil.example/api/v1/users/me',
    ])('knows nothing at %s', async (path) => {
      expectProblem(await call('GET', path), 404, 'not_found');
    });

    it.each(['%', '%E0%A4%A', '%C3%28'])('refuses a path that is no text: %s', async (part) => {
      expectProblem(await call('GET', `/api/v1/conversations/${part}`), 400, 'invalid_input');
    });

    it.each(['-1', '1.5', '007', '1e3', '0x10', '9007199254740992', '%20', 'NaN'])(
      'refuses %s for a seq in a path',
      async (seq) => {
        const answer = await call('GET', `${CONVERSATION}/messages/${seq}`);
        expectProblem(answer, 400, 'invalid_input', 'seq');
      },
    );

    it.each([
      ['limit=0', 'limit'],
      ['limit=201', 'limit'],
      ['limit=-1', 'limit'],
      ['limit=1e9', 'limit'],
      ['limit=', 'limit'],
      ['limit=5&limit=5', 'limit'],
      ['limit[]=5', 'limit[]'],
      ['limit[a]=5', 'limit[a]'],
      ['before=-1', 'before'],
      ['before=007', 'before'],
      ['before=9007199254740992', 'before'],
      ['before=1&after=2', 'before'],
      ['minSeq=abc', 'minSeq'],
      ['unknown=1', 'unknown'],
      ['__proto__=1', '__proto__'],
      ['constructor=1', 'constructor'],
    ])('refuses the query %s', async (query, field) => {
      expectProblem(await call('GET', `${CONVERSATION}/messages?${query}`), 400, 'invalid_input', field);
    });

    it('takes a limit at both ends', async () => {
      http.queries['execute']?.mockResolvedValue({ kind: 'found', value: { items: [], hasMore: false } });
      for (const limit of [1, 200]) {
        expect((await call('GET', `${CONVERSATION}/messages?limit=${limit}`)).status).toBe(200);
      }
    });

    it('refuses methods that a path does not have', async () => {
      for (const method of ['PUT', 'DELETE', 'TRACE', 'PROPFIND']) {
        expectProblem(await call(method, '/api/v1/users/me'), 404, 'not_found');
      }
    });

    it('answers HEAD like GET without a body, and OPTIONS for browsers', async () => {
      const head = await call('HEAD', '/health/live');
      expect([head.status, head.body]).toEqual([200, { text: '' }]);
      const options = await call('OPTIONS', '/api/v1/users/me', {
        headers: { origin: 'https://app.example', 'access-control-request-method': 'PATCH' },
      });
      expect(options.status).toBe(204);
      expect(options.headers['access-control-allow-origin']).toBe('*');
      expect(options.headers['access-control-allow-credentials']).toBeUndefined();
    });
  });

  it('answers a broken store as unavailable and a bug as internal, and tells no secret', async () => {
    http.profiles['get']?.mockRejectedValueOnce(new StoreUnavailable('Postgres: password=hunter2'));
    const down = await call('GET', '/api/v1/users/me');
    expectProblem(down, 503, 'unavailable');
    expect(down.headers['retry-after']).toBe('1');
    const log = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    http.profiles['get']?.mockRejectedValueOnce(new Error('password=hunter2'));
    const bug = await call('GET', '/api/v1/users/me');
    expectProblem(bug, 500, 'internal');
    expect(log).toHaveBeenCalledWith(
      expect.objectContaining({ traceId: bug.body['traceId'] }),
      'a request failed',
    );
    expect(JSON.stringify([down.body, bug.body])).not.toContain('hunter2');
  });

  it('carries the trace of the caller, or its own id, into the answer', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const traced = await call('GET', '/nowhere', { headers: { traceparent } });
    expect(traced.body['traceId']).toBe('0af7651916cd43dd8448eb211c80319c');
    const plain = await call('GET', '/nowhere', { headers: { traceparent: 'x', 'x-request-id': ID } });
    expect(plain.body['traceId']).toBe(ID);
    expect(plain.headers['x-request-id']).toBe(ID);
  });

  it('lives on after a request that ends half-way, and answers the next', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(http.port, '127.0.0.1', () => {
        socket.write(
          `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"us`,
          () => {
            socket.destroy();
            resolve();
          },
        );
      });
    });
    http.profiles['get']?.mockResolvedValue({
      id: ME,
      username: 'ann',
      displayName: 'Ann',
      privacy: DEFAULT_PRIVACY,
    });
    const me = await call('GET', '/api/v1/users/me');
    expect(me.body).toEqual({ id: ME, username: 'ann', displayName: 'Ann', privacy: DEFAULT_PRIVACY });
    await validateResponse('GET', '/api/v1/users/me', me.status, me.body);
  });
});
