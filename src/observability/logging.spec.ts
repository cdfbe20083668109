import { Writable } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { REDACTED, loggerOptions, requestIdOf } from './logging';

function logged(object: object): string {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  pino(loggerOptions('info'), stream).info(object, 'line');
  return text;
}

describe('the log', () => {
  it.each([
    ['password', { password: 'hunter2' }],
    ['password, nested', { login: { password: 'hunter2' } }],
    ['password, two levels deep', { request: { login: { password: 'hunter2' } } }],
    ['access token', { result: { accessToken: 'hunter2' } }],
    ['refresh token', { refreshToken: 'hunter2' }],
    ['authorization header', { req: { headers: { authorization: 'Bearer hunter2' } } }],
    ['cookie', { req: { headers: { cookie: 'hunter2' } } }],
    ['message', { command: { content: { type: 'text', body: 'hunter2' } } }],
    ['request body', { body: { anything: 'hunter2' } }],
    ['secret of the tokens', { config: { jwtSecret: 'hunter2' } }],
  ])('never shows a %s', (_what, object) => {
    const text = logged(object);
    expect(text).not.toContain('hunter2');
    expect(text).toContain(REDACTED);
  });

  it('is one JSON object a line, also when a value holds line breaks', () => {
    const text = logged({ userId: 'a\n{"level":60}' });
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(text)).toMatchObject({ userId: 'a\n{"level":60}', service: 'parley' });
  });
});

describe('requestIdOf', () => {
  const idFor = (header: string | undefined): string =>
    requestIdOf({ headers: { 'x-request-id': header } } as unknown as IncomingMessage);

  it('takes over a UUID', () => {
    expect(idFor('019a0000-0000-7000-8000-000000000000')).toBe('019a0000-0000-7000-8000-000000000000');
  });

  it.each([undefined, '', 'x'.repeat(10_000), '{"level":60}', 'a b'])('makes its own for %j', (header) => {
    expect(idFor(header)).toMatch(/^[0-9a-f-]{36}$/);
    expect(idFor(header)).not.toBe(header);
  });
});
