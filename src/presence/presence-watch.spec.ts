import { LastSeenPrivacy, PresenceStore, type PresenceView } from '../application/ports/presence';
import type { Config } from '../config/config';
import { Metrics } from '../observability/metrics';
import { asMillis, asUserId, type UserId } from '../kernel/ids';
import { Presence } from '../protocol/frames';
import { compile } from '../protocol/validation';
import { PRESENCE_BATCH_MS, PresenceWatch } from './presence-watch';

class TestStore extends PresenceStore {
  listener: ((presence: PresenceView) => void) | undefined;
  beat = (): Promise<void> => Promise.resolve();
  set = (): Promise<void> => Promise.resolve();
  leave = (): Promise<void> => Promise.resolve();
  get = (): Promise<readonly PresenceView[]> => Promise.resolve([]);
  readonly followed: UserId[] = [];
  readonly unfollowed: UserId[] = [];
  follow(userIds: readonly UserId[]): Promise<void> {
    this.followed.push(...userIds);
    return Promise.resolve();
  }
  unfollow(userIds: readonly UserId[]): void {
    this.unfollowed.push(...userIds);
  }
  onChange(listener: (presence: PresenceView) => void): () => void {
    this.listener = listener;
    return () => (this.listener = undefined);
  }
  change(userId: UserId, status: PresenceView['status']): void {
    this.listener?.({ userId, status, lastSeenAt: asMillis(0) });
  }
}

class TestPrivacy extends LastSeenPrivacy {
  hidden: ReadonlySet<UserId> = new Set();
  /** Awaited before an answer. */
  before: () => Promise<void> = () => Promise.resolve();
  async hiding(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    const { hidden } = this;
    await this.before();
    return new Set(userIds.filter((id) => hidden.has(id)));
  }
}

const users = ['ann', 'bob', 'eve', 'dan'].map(asUserId);
const [ann, bob] = users as [UserId, UserId];
const validator = compile(Presence);

function setUp() {
  const store = new TestStore();
  const privacy = new TestPrivacy();
  const config = { limits: { presenceWatchMax: 3 } } as Config;
  const watch = new PresenceWatch(config, store, privacy, new Metrics());
  const watcher = () => {
    const heard: string[] = [];
    const seenAt: unknown[] = [];
    return {
      ...{ heard, seenAt },
      hint: (bytes: Buffer): void => {
        const { event, data } = JSON.parse(bytes.toString()) as { event: string; data: PresenceView };
        expect(event).toBe('presence');
        expect(validator.errors(data).map(({ field }) => field)).toEqual(['userId']);
        heard.push(`${data.userId} ${data.status}`);
        seenAt.push(data.lastSeenAt);
      },
    };
  };
  return { store, watch, watcher, privacy };
}

describe('PresenceWatch', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());
  const aMoment = async (): Promise<void> => {
    await jest.advanceTimersByTimeAsync(PRESENCE_BATCH_MS);
  };

  it('tells watchers, and only them, the last of what changed within a moment', async () => {
    const { store, watch, watcher } = setUp();
    const [one, other] = [watcher(), watcher()];
    watch.watch(one, [ann, bob]);
    watch.watch(other, [bob]);
    store.change(ann, 'online');
    store.change(ann, 'busy');
    store.change(bob, 'away');
    store.change(asUserId('nobody watches'), 'online');
    expect(one.heard).toEqual([]);
    await aMoment();
    expect([one.heard, other.heard]).toEqual([['ann busy', 'bob away'], ['bob away']]);
  });

  it('tells of those who hide it everything but when they were last here', async () => {
    const { store, watch, watcher, privacy } = setUp();
    privacy.hidden = new Set([ann]);
    const one = watcher();
    watch.watch(one, [ann, bob]);
    store.change(ann, 'online');
    store.change(bob, 'offline');
    await aMoment();
    expect(one.heard).toEqual(['ann online', 'bob offline']);
    expect(one.seenAt).toEqual([null, new Date(0).toISOString()]);
    store.get = () =>
      Promise.resolve(users.map((userId) => ({ userId, status: 'away', lastSeenAt: asMillis(5) })));
    const seen = await watch.seen(users);
    expect(seen.map(({ lastSeenAt }) => lastSeenAt === null)).toEqual([true, false, false, false]);
  });

  it('tells in the order of what happened, however long it takes to know who hides what', async () => {
    const { store, watch, watcher, privacy } = setUp();
    const one = watcher();
    watch.watch(one, [ann]);
    let answer = (): void => undefined;
    privacy.before = () => new Promise((resolve) => (answer = resolve));
    store.change(ann, 'online');
    await aMoment();
    privacy.before = () => Promise.resolve();
    store.change(ann, 'offline');
    await aMoment();
    expect(one.heard).toEqual([]);
    answer();
    await aMoment();
    expect(one.heard).toEqual(['ann online', 'ann offline']);
  });

  it('watches as many as the limit says, and none of a list that would be one too many', () => {
    const { watch, watcher } = setUp();
    const one = watcher();
    expect(watch.watch(one, users)).toBe('tooMany');
    expect(watch.size).toBe(0);
    expect(watch.watch(one, users.slice(0, 3))).toBe('watching');
    expect(watch.watch(one, users.slice(0, 2))).toBe('watching');
    expect(watch.watch(one, users.slice(3))).toBe('tooMany');
    watch.unwatch(one, [ann]);
    expect(watch.watch(one, users.slice(3))).toBe('watching');
  });

  it('lets go of everything when the last watcher leaves', async () => {
    const { store, watch, watcher } = setUp();
    const one = watcher();
    watch.watch(one, [ann, bob]);
    watch.unwatch(one, [ann, asUserId('nobody')]);
    store.change(ann, 'online');
    store.change(bob, 'online');
    watch.forget(one);
    watch.forget(one);
    expect(watch.size).toBe(0);
    await aMoment();
    expect(one.heard).toEqual([]);
    watch.onModuleDestroy();
    expect(store.listener).toBeUndefined();
  });

  it('follows a user as long as anybody here watches them', async () => {
    const { store, watch, watcher } = setUp();
    const [one, other] = [watcher(), watcher()];
    watch.watch(one, [ann, bob]);
    watch.watch(other, [ann]);
    await watch.following([ann, bob]);
    expect(store.followed).toEqual([ann, bob]);
    watch.unwatch(one, [ann]);
    expect(store.unfollowed).toEqual([]);
    watch.forget(other);
    expect(store.unfollowed).toEqual([ann]);
    // Who has left meanwhile is not followed for nobody.
    await watch.following([ann]);
    expect(store.followed).toEqual([ann, bob]);
    watch.forget(one);
    expect(store.unfollowed).toEqual([ann, bob]);
    watch.onModuleDestroy();
  });
});
