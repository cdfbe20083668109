import fc from 'fast-check';
import { replayable } from '../../test/support/replayable';
import { DEFAULT_LIMITS } from '../protocol/limits';
import { parseClientFrame } from './client-frame';

const limits = { ...DEFAULT_LIMITS, frameBytesMax: 100, syncFrameBytesMax: 200 };
const parse = (text: string) => parseClientFrame(Buffer.from(text), limits);

describe('parseClientFrame', () => {
  it('takes an event, data and an id', () => {
    expect(parse('{"event":"read","id":"1","data":{"upTo":1}}')).toEqual({
      kind: 'frame',
      event: 'read',
      id: '1',
      data: { upTo: 1 },
    });
    expect(parse('{"event":"ping"}')).toEqual({ kind: 'frame', event: 'ping', id: undefined, data: {} });
  });

  it.each([
    '',
    '{',
    'null',
    '1',
    '"ping"',
    '[]',
    '{}',
    '{"event":1}',
    '{"event":"a"}x',
    '\ufeff{"event":"a"}',
  ])('takes no %j', (text) => {
    expect(parse(text)).toEqual({ kind: 'notAFrame' });
  });

  it('takes frames at their limit of bytes, and sync alone above it', () => {
    expect(parse('{"event":"ping"}'.padEnd(100)).kind).toBe('frame');
    expect(parse('{"event":"ping"}'.padEnd(101)).kind).toBe('notAFrame');
    expect(parse('{"event":"ping","data":{"a":"sync"}}'.padEnd(101)).kind).toBe('notAFrame');
    expect(parse('{"event":"sync"}'.padEnd(200)).kind).toBe('frame');
    expect(parse('{"event":"sync"}'.padEnd(201)).kind).toBe('notAFrame');
  });

  it('echoes an id of 64 characters and refuses a longer one', () => {
    const id = 'i'.repeat(64);
    expect(parse(`{"event":"ping","id":"${id}"}`)).toMatchObject({ kind: 'frame', id });
    expect(parse(`{"event":"x","id":"${id}i"}`)).toMatchObject({ kind: 'malformed', id: undefined });
  });

  it('never throws, and never makes a frame of what has no event (random)', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value: unknown = JSON.parse(text);
        const hasEvent = typeof (value as { event?: unknown } | null)?.event === 'string';
        expect(parseClientFrame(Buffer.from(text), DEFAULT_LIMITS).kind === 'notAFrame').toBe(!hasEvent);
      }),
      replayable(300),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        parseClientFrame(Buffer.from(bytes), limits);
      }),
      replayable(300),
    );
  });
});
