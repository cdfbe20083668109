import { setTimeout as sleep } from 'node:timers/promises';
import type { PresenceView, SessionKey } from '../../../src/application/ports/presence';
import { PRESENCE_PARTITIONS, presenceDueKeyOf } from '../../../src/infrastructure/redis/keys';
import type { UserId } from '../../../src/kernel/ids';
import { newUser, sessionOf } from '../../contracts/socket-directory.contract';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServerCluster, type RedisServer } from '../../support/redis-server';
import { eventually } from '../../support/sdk-device';

/** A session of one user in each partition: presence of all of them is spread over all masters. */
function sessionsInAllPartitions(): SessionKey[] {
  const found = new Map<string, SessionKey>();
  while (found.size < PRESENCE_PARTITIONS) {
    const user = newUser();
    found.set(presenceDueKeyOf(user), sessionOf(user, 'phone'));
  }
  return [...found.values()];
}
const usersOf = (sessions: readonly SessionKey[]): UserId[] => sessions.map(({ userId }) => userId);

/** Timers that keep this process running. */
const timers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;

/** Before all is said once more. */
const LOOKS_PER_TRY = 80;

describeWithRedis('a redis cluster of three masters', () => {
  let timersBefore: number;
  let cluster: RedisServerCluster;
  let a: TestRedisNode;
  let b: TestRedisNode;

  beforeAll(() => {
    timersBefore = timers();
  });
  beforeEach(async () => {
    cluster = await RedisServerCluster.start();
    [a, b] = await Promise.all([redisNode(cluster.url), redisNode(cluster.url)]);
  });
  afterEach(async () => {
    a.close();
    b.close();
    await cluster.stop();
  });
  const everybodyChanges = async (
    sessions: readonly SessionKey[],
    status: 'online' | 'busy',
  ): Promise<void> => {
    const heard = new Map<UserId, PresenceView>();
    const end = b.presence.onChange((view) => heard.set(view.userId, view));
    const setAll = (to: typeof status): Promise<unknown> =>
      Promise.all(sessions.map((session) => a.presence.set(session, to)));
    await setAll(status);
    let looks = 0;
    await eventually('all changes', async () => {
      // A hint may be lost while a subscription is being taken up again; what counts is that later ones arrive.
      if (++looks % LOOKS_PER_TRY === 0) {
        await setAll(status === 'busy' ? 'online' : 'busy');
        await setAll(status);
      }
      return sessions.every(({ userId }) => heard.get(userId)?.status === status);
    });
    end();
  };

  it('is used by keys in all of its parts, and heard from all of them', async () => {
    const sessions = sessionsInAllPartitions();
    await b.presence.follow(usersOf(sessions));
    await everybodyChanges(sessions, 'online');
    const keys = await Promise.all(cluster.servers.map((server) => server.command('DBSIZE')));
    for (const count of keys) expect(count).toBeGreaterThan(0);
  });

  it('is away while one of its masters is, and whole again when that one is back, empty', async () => {
    const sessions = sessionsInAllPartitions();
    await b.presence.follow(usersOf(sessions));
    await everybodyChanges(sessions, 'online');
    const [, second] = cluster.servers as [RedisServer, RedisServer];
    await second.kill();
    await eventually('both nodes to notice', () => !a.link.isUp && !b.link.isUp);
    await cluster.run();
    await eventually('both nodes to be back', () => a.link.isUp && b.link.isUp);
    await everybodyChanges(sessions, 'busy');
  });

  it('goes on when slots move from one master to another', async () => {
    const sessions = sessionsInAllPartitions();
    await b.presence.follow(usersOf(sessions));
    await everybodyChanges(sessions, 'online');
    const [first, second] = cluster.servers as [RedisServer, RedisServer];
    const id = String(await second.command('CLUSTER', 'MYID'));
    const slots = new Set<number>();
    for (const user of usersOf(sessions)) {
      slots.add(Number(await first.command('CLUSTER', 'KEYSLOT', presenceDueKeyOf(user))));
    }
    // Emptied first: a slot that has keys is moved key by key, and what is in Redis is worth nothing.
    await cluster.command('FLUSHALL');
    for (const slot of slots) {
      for (const server of cluster.servers) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', id);
    }
    await eventually('busy all over', async () => {
      // What is refused while the slots move is told again.
      await Promise.allSettled(sessions.map((session) => a.presence.set(session, 'busy')));
      const views = await b.presence.get(usersOf(sessions)).catch(() => []);
      return views.length > 0 && views.every(({ status }) => status === 'busy');
    });
    await eventually('both nodes to be up', () => a.link.isUp && b.link.isUp);
    await everybodyChanges(sessions, 'online');
    expect(await second.command('DBSIZE')).toBeGreaterThan(PRESENCE_PARTITIONS);
  });

  it('leaves no timer behind when it is closed while its servers hang', async () => {
    cluster.signal('SIGSTOP');
    // Longer than the pause between two looks: whatever is asked again and again is out now.
    await sleep(1_500);
    a.close();
    b.close();
    cluster.signal('SIGCONT');
    await eventually('no timer', () => timers() <= timersBefore);
    // Nor does any come back.
    await sleep(3_000);
    expect(timers()).toBeLessThanOrEqual(timersBefore);
  });

  it('is found by any of its nodes', async () => {
    const [first] = cluster.servers as [RedisServer];
    const node = await redisNode(`redis+cluster://127.0.0.1:1,127.0.0.1:${first.port}`);
    const user = newUser();
    await node.presence.beat(sessionOf(user, 'phone'));
    expect(await a.presence.get([user])).toMatchObject([{ status: 'online' }]);
    node.close();
  });
});
