import { Logger } from '@nestjs/common';
import { ephemeralBusContract, presenceContract } from '../../../test/contracts/presence.contract';
import { PRESENCE_GRACE_MS } from '../../application/ports/presence';
import { Clock } from '../../kernel/clock';
import { asDeviceId, asMillis, asUserId, type Millis } from '../../kernel/ids';
import { MemoryEphemeralBus } from './memory-ephemeral-bus';
import { LAST_SEEN_USERS_MAX, MemoryPresenceStore } from './memory-presence-store';

class TestClock extends Clock {
  time = 1_000_000;
  now(): Millis {
    return asMillis(this.time);
  }
}

Logger.overrideLogger(false);

presenceContract('memory', () => {
  const clock = new TestClock();
  const store = new MemoryPresenceStore(clock);
  return Promise.resolve({
    store,
    advance: (ms: number) => {
      clock.time += ms;
      store.sweep();
      return Promise.resolve();
    },
    settled: () => Promise.resolve(),
    close: () => {
      store.onModuleDestroy();
      return Promise.resolve();
    },
  });
});

ephemeralBusContract('memory', () =>
  Promise.resolve({
    bus: new MemoryEphemeralBus(),
    settled: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }),
);

describe('MemoryPresenceStore', () => {
  it('remembers so many users who are gone, the latest ones', async () => {
    const clock = new TestClock();
    const store = new MemoryPresenceStore(clock);
    const user = (n: number) => asUserId(`u${n}`);
    for (let n = 0; n <= LAST_SEEN_USERS_MAX; n++) {
      const session = { userId: user(n), deviceId: asDeviceId('d'), sessionId: 's' };
      void store.beat(session);
      void store.leave(session);
    }
    clock.time += PRESENCE_GRACE_MS;
    store.sweep();
    const views = await store.get([user(0), user(1), user(LAST_SEEN_USERS_MAX)]);
    expect(views.map(({ lastSeenAt }) => lastSeenAt === undefined)).toEqual([true, false, false]);
    store.onModuleDestroy();
  });
});
