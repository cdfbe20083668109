import { randomUUID } from 'node:crypto';
import {
  PRESENCE_GRACE_MS,
  PRESENCE_TTL_MS,
  type EphemeralBus,
  type EphemeralFrame,
  type PresenceStore,
  type PresenceView,
  type SessionKey,
} from '../../src/application/ports/presence';
import { asDeviceId, asUserId, type UserId } from '../../src/kernel/ids';

/** A store with nobody in it, under a clock that the test moves. */
export interface OpenedPresence {
  readonly store: PresenceStore;
  /** Lets time pass, and what is due by then happen. */
  advance(ms: number): Promise<void>;
  /** Resolves when every change made so far has been told. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** What every adapter of PresenceStore does. */
export function presenceContract(name: string, open: () => Promise<OpenedPresence>): void {
  describe(`presence store: ${name}`, () => {
    let opened: OpenedPresence;
    let store: PresenceStore;
    let changes: PresenceView[];
    // Of one test alone: a real server remembers those before.
    let ann: UserId;
    let bob: UserId;
    const session = (sessionId: string, userId: UserId = ann): SessionKey => ({
      userId,
      deviceId: asDeviceId(`device-${sessionId}`),
      sessionId,
    });
    const statusOf = async (userId: UserId = ann): Promise<string | undefined> =>
      (await store.get([userId]))[0]?.status;
    const announced = async (): Promise<string[]> => {
      await opened.settled();
      return changes.map(({ status }) => status);
    };

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
      changes = [];
      ann = asUserId(`ann-${randomUUID()}`);
      bob = asUserId(`bob-${randomUUID()}`);
      store.onChange((view) => {
        if (view.userId === ann) changes.push(view);
      });
      await store.follow([ann]);
    });
    afterEach(async () => {
      await opened.close();
    });

    it('knows nothing of strangers, and answers in the order asked', async () => {
      await store.beat(session('1', bob));
      const views = await store.get([ann, bob, ann]);
      expect(views.map(({ userId, status }) => [userId, status])).toEqual([
        [ann, 'offline'],
        [bob, 'online'],
        [ann, 'offline'],
      ]);
      expect(views[0]?.lastSeenAt).toBeUndefined();
    });

    it('shows a session as online from its first beat, and announces it once', async () => {
      await store.beat(session('1'));
      await store.beat(session('1'));
      expect(await statusOf()).toBe('online');
      expect(await announced()).toEqual(['online']);
    });

    it('keeps a session as long as it beats, and lets it go when it falls silent', async () => {
      await store.beat(session('1'));
      await opened.advance(PRESENCE_TTL_MS - 1_000);
      await store.beat(session('1'));
      await opened.advance(PRESENCE_TTL_MS - 1_000);
      expect(await statusOf()).toBe('online');
      await opened.advance(2_000);
      expect(await statusOf()).toBe('offline');
      expect(await announced()).toEqual(['online', 'offline']);
    });

    it('announces offline only after the grace', async () => {
      await store.beat(session('1'));
      await store.leave(session('1'));
      await opened.advance(PRESENCE_GRACE_MS - 1_000);
      expect(await statusOf()).toBe('online');
      await opened.advance(2_000);
      expect(await statusOf()).toBe('offline');
      expect(await announced()).toEqual(['online', 'offline']);
    });

    it('does not flap over a reconnect', async () => {
      await store.beat(session('1'));
      await store.leave(session('1'));
      await opened.advance(PRESENCE_GRACE_MS - 1_000);
      await store.beat(session('2'));
      await opened.advance(PRESENCE_GRACE_MS + 1_000);
      expect(await statusOf()).toBe('online');
      expect(await announced()).toEqual(['online']);
    });

    it('shows the most present session: online, busy, away', async () => {
      await store.set(session('1'), 'away');
      expect(await statusOf()).toBe('away');
      await store.set(session('2'), 'busy');
      expect(await statusOf()).toBe('busy');
      await store.set(session('3'), 'online');
      expect(await statusOf()).toBe('online');
      await store.set(session('4'), 'invisible');
      expect(await statusOf()).toBe('online');
      await store.leave(session('3'));
      expect(await statusOf()).toBe('busy');
      await store.leave(session('2'));
      expect(await statusOf()).toBe('away');
    });

    it('keeps a status over beats', async () => {
      await store.set(session('1'), 'busy', 'tea');
      await store.beat(session('1'));
      expect(await store.get([ann])).toMatchObject([{ status: 'busy', customStatus: 'tea' }]);
      expect(await announced()).toEqual(['busy']);
    });

    it('shows who is invisible like somebody who is gone', async () => {
      await store.set(session('1'), 'busy', 'tea');
      await store.set(session('1'), 'invisible', 'here, really');
      const [seen] = await store.get([ann]);
      expect(seen).toMatchObject({ status: 'offline' });
      expect(seen).not.toHaveProperty('customStatus');
      expect(await announced()).toEqual(['busy', 'offline']);
      const before = seen?.lastSeenAt;
      await opened.advance(5_000);
      await store.beat(session('1'));
      expect((await store.get([ann]))[0]?.lastSeenAt).toBe(before);
    });

    it('goes on as it was when a device comes back in time: the invisible are never seen', async () => {
      const phone = (sessionId: string): SessionKey => ({
        ...session(sessionId),
        deviceId: asDeviceId('phone'),
      });
      await store.set(phone('1'), 'invisible', 'here, really');
      // Its node died, or the network changed: the next socket comes before anybody misses the first.
      await store.beat(phone('2'));
      await store.leave(phone('1'));
      await store.leave(phone('2'));
      await opened.advance(PRESENCE_GRACE_MS - 1_000);
      await store.beat(phone('3'));
      await store.beat(phone('3'));
      expect(await announced()).toEqual([]);
      expect((await store.get([ann]))[0]).toMatchObject({ status: 'offline', lastSeenAt: undefined });
      await store.set(phone('3'), 'busy', 'tea');
      await store.leave(phone('3'));
      await store.beat(phone('4'));
      expect(await announced()).toEqual(['busy']);
      expect(await store.get([ann])).toMatchObject([{ status: 'busy', customStatus: 'tea' }]);
    });

    it('goes on as it was also when another device was there meanwhile', async () => {
      const phone = (sessionId: string): SessionKey => ({
        ...session(sessionId),
        deviceId: asDeviceId('phone'),
      });
      await store.set(session('laptop'), 'away');
      await store.set(phone('1'), 'busy', 'tea');
      await store.leave(phone('1'));
      await store.beat(phone('2'));
      expect(await announced()).toEqual(['away', 'busy', 'away', 'busy']);
      expect(await store.get([ann])).toMatchObject([{ status: 'busy', customStatus: 'tea' }]);
    });

    it('begins anew when a device comes back too late, and on other devices', async () => {
      await store.set(session('1'), 'busy', 'tea');
      await store.beat(session('2'));
      expect(await store.get([ann])).toMatchObject([{ status: 'online' }]);
      await store.leave(session('2'));
      await store.leave(session('1'));
      await opened.advance(PRESENCE_GRACE_MS + 1_000);
      await store.beat({ ...session('3'), deviceId: session('1').deviceId });
      const [seen] = await store.get([ann]);
      expect(seen).toMatchObject({ status: 'online' });
      expect(seen).not.toHaveProperty('customStatus');
    });

    it('shows an online session that nobody touches as away, until somebody does', async () => {
      await store.beat(session('1'));
      await store.beat(session('1'), 'idle');
      expect(await statusOf()).toBe('away');
      await store.beat(session('2'), 'active');
      expect(await statusOf()).toBe('online');
      await store.leave(session('2'));
      expect(await statusOf()).toBe('away');
      await store.beat(session('1'), 'active');
      expect(await announced()).toEqual(['online', 'away', 'online', 'away', 'online']);
    });

    it('leaves alone what an idle session says of itself', async () => {
      await store.set(session('1'), 'busy', 'tea');
      await store.beat(session('1'), 'idle');
      expect(await statusOf()).toBe('busy');
      await store.set(session('1'), 'invisible');
      await store.beat(session('1'), 'idle');
      expect(await statusOf()).toBe('offline');
    });

    it('announces a custom status, and its end', async () => {
      await store.set(session('1'), 'online', 'tea');
      await store.set(session('1'), 'online');
      await opened.settled();
      expect(changes.map(({ customStatus }) => customStatus)).toEqual(['tea', undefined]);
    });

    it('remembers when somebody was last seen', async () => {
      await store.beat(session('1'));
      const first = (await store.get([ann]))[0]?.lastSeenAt ?? 0;
      await opened.advance(5_000);
      await store.leave(session('1'));
      await opened.advance(PRESENCE_GRACE_MS + 1_000);
      await opened.settled();
      expect(changes.at(-1)).toMatchObject({ status: 'offline' });
      // On a server's clock some milliseconds pass in between.
      const last = changes.at(-1)?.lastSeenAt ?? 0;
      expect(last - first).toBeGreaterThanOrEqual(5_000);
      expect(last - first).toBeLessThan(PRESENCE_GRACE_MS);
      expect((await store.get([ann]))[0]?.lastSeenAt).toBe(last);
    });

    it('may be told twice that a session left, or that one left that never was', async () => {
      await store.leave(session('1'));
      await store.beat(session('1'));
      await store.leave(session('1'));
      await opened.advance(5_000);
      await store.leave(session('1'));
      await opened.advance(PRESENCE_GRACE_MS - 4_000);
      expect(await announced()).toEqual(['online', 'offline']);
    });

    it('tells nobody who has stopped listening', async () => {
      const heard: PresenceView[] = [];
      const end = store.onChange((view) => heard.push(view));
      end();
      await store.beat(session('1'));
      expect(await announced()).toEqual(['online']);
      expect(heard).toEqual([]);
      expect(await announced()).toEqual(['online']);
    });
  });
}

export interface OpenedBus {
  readonly bus: EphemeralBus;
  /** Resolves when what was published has arrived. */
  readonly settled: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What every adapter of EphemeralBus does. */
export function ephemeralBusContract(name: string, open: () => Promise<OpenedBus>): void {
  describe(`ephemeral bus: ${name}`, () => {
    it('brings each frame to each listener once, in order, until it ends', async () => {
      const { bus, settled, close } = await open();
      const [one, other]: [EphemeralFrame[], EphemeralFrame[]] = [[], []];
      const end = bus.subscribe((frame) => one.push(frame));
      bus.subscribe((frame) => other.push(frame));
      const frames: EphemeralFrame[] = ['a', 'b', 'c'].map((text) => ({
        userIds: [asUserId('ann')],
        exceptSessionId: 'session',
        onlyDeviceId: asDeviceId('device'),
        bytes: Buffer.from(text),
      }));
      for (const frame of frames) bus.publish(frame);
      await settled();
      end();
      bus.publish({ userIds: [], bytes: Buffer.from('d') });
      await settled();
      expect(one).toEqual(frames);
      expect(other.map(({ bytes }) => bytes.toString())).toEqual(['a', 'b', 'c', 'd']);
      await close();
    });

    it('goes on when a listener fails', async () => {
      const { bus, settled, close } = await open();
      const heard: EphemeralFrame[] = [];
      bus.subscribe(() => {
        throw new Error('a listener that fails');
      });
      bus.subscribe((frame) => heard.push(frame));
      expect(() => {
        bus.publish({ userIds: [], bytes: Buffer.from('a') });
      }).not.toThrow();
      await settled();
      expect(heard).toHaveLength(1);
      await close();
    });
  });
}
