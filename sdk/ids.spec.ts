import { birthOf } from '../src/kernel/uuid';
import { MessageIds } from './ids';

describe('MessageIds', () => {
  it('makes UUIDv7s that rise strictly, also beyond 4,096 in a millisecond and when the clock goes back', () => {
    jest.useFakeTimers({ now: 1_700_000_000_000 });
    const ids = new MessageIds();
    const made = Array.from({ length: 10_000 }, () => ids.next());
    jest.setSystemTime(1_600_000_000_000);
    made.push(ids.next());
    jest.useRealTimers();
    expect([...made].sort()).toEqual(made);
    expect(new Set(made).size).toBe(made.length);
    expect(birthOf(made[0] as string)).toBe(1_700_000_000_000);
    expect(birthOf(made.at(-1) as string)).toBe(1_700_000_000_002);
  });

  it('does not claim to be born in the future of the server', () => {
    const ids = new MessageIds();
    ids.alignWith(Date.now() - 3_600_000);
    expect(birthOf(ids.next())).toBeLessThanOrEqual(Date.now() - 3_599_000);
  });
});
