import type { Config } from '../config/config';
import { asUserId } from '../kernel/ids';
import { MemoryRateLimits } from '../infrastructure/memory/memory-rate-limits';
import { DEFAULT_LIMITS } from '../protocol/limits';
import { FrameRates, type RatedSocket } from './frame-rates';

const limits = { ...DEFAULT_LIMITS, messagesPerSecond: 10, messagesBurst: 60, framesPerSecond: 50 };
let now = 0;
const rates = (rateLimits = true): FrameRates => {
  now = 0;
  return new FrameRates({ rateLimits, limits } as Config, new MemoryRateLimits(() => now));
};
const socket = (sessionId: string, userId?: string): RatedSocket => ({
  sessionId,
  caller: userId === undefined ? undefined : { userId: asUserId(userId) },
});
const granted = (one: FrameRates, of: RatedSocket, event: string, at: number): number => {
  now = at;
  for (let count = 0; ; count++) if (one.take(of, event, now) > 0 || count > 1_000) return count;
};

describe('FrameRates', () => {
  it('lets a user send a burst of messages over all sockets, then so many a second', () => {
    const one = rates();
    expect(granted(one, socket('s1', 'ann'), 'message.send', 0)).toBe(60);
    expect(one.take(socket('s2', 'ann'), 'message.send', 0)).toBe(100);
    expect(granted(one, socket('s2', 'ann'), 'message.send', 1_000)).toBe(10);
    expect(granted(one, socket('s3', 'bob'), 'message.send', 1_000)).toBe(60);
  });

  it('counts other frames by socket, and apart from messages', () => {
    const one = rates();
    expect(granted(one, socket('s1', 'ann'), 'ping', 0)).toBe(100);
    expect(granted(one, socket('s2', 'ann'), 'read', 0)).toBe(100);
    expect(one.take(socket('s1', 'ann'), 'message.send', 0)).toBe(0);
    expect(granted(one, socket('s1', 'ann'), 'typing', 1_000)).toBe(50);
  });

  it('counts whatever a stranger sends by socket', () => {
    expect(granted(rates(), socket('s1'), 'message.send', 0)).toBe(100);
  });

  it('can be off, for load tests', () => {
    expect(granted(rates(false), socket('s1', 'ann'), 'message.send', 0)).toBe(1_001);
  });
});
