import { randomUUID } from 'node:crypto';
import { Beacon } from '../../../src/infrastructure/redis/beacon';
import { beaconChannels, nodeChannel, presenceDueKeyOf } from '../../../src/infrastructure/redis/keys';
import { NodeMail } from '../../../src/infrastructure/redis/node-mail';
import { COMMANDS_MAX, RedisUnavailable } from '../../../src/infrastructure/redis/redis-link';
import {
  PRESENCE_SWEEP_USERS_MAX,
  RedisPresenceStore,
} from '../../../src/infrastructure/redis/redis-presence-store';
import { GATHERED_KEYS_MAX } from '../../../src/infrastructure/redis/redis-rate-limits';
import type { UserId } from '../../../src/kernel/ids';
import { freshRule } from '../../contracts/rate-limits.contract';
import { newUser, sessionOf } from '../../contracts/socket-directory.contract';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer } from '../../support/redis-server';
import { eventually } from '../../support/sdk-device';

describeWithRedis('bounds of what a node asks of redis', () => {
  let server: RedisServer;
  let node: TestRedisNode;

  beforeEach(async () => {
    server = await RedisServer.start();
    node = await redisNode(server.url);
  });
  afterEach(async () => {
    server.signal('SIGCONT');
    node.close();
    await server.stop();
  });

  it(`has ${COMMANDS_MAX} commands under way at most, and refuses one more at once`, async () => {
    server.signal('SIGSTOP');
    const waiting = Array.from({ length: COMMANDS_MAX }, () => node.link.run((redis) => redis.get('k')));
    const settled = Promise.allSettled(waiting);
    await expect(node.link.run((redis) => redis.get('k'))).rejects.toThrow('too many commands');
    server.signal('SIGCONT');
    await settled;
    await eventually('an answer', async () => {
      const answer = await node.link.run((redis) => redis.get('k')).catch(() => undefined);
      return answer !== undefined;
    });
  });

  it('gives up a command that is not answered, and says so to whoever comes within the next second', async () => {
    server.signal('SIGSTOP');
    await expect(node.link.run((redis) => redis.get('k'))).rejects.toThrow(RedisUnavailable);
    expect(node.link.isUp).toBe(false);
    server.signal('SIGCONT');
    await eventually('redis', () => node.link.isUp);
  });

  it(`tells the grants of ${GATHERED_KEYS_MAX} keys at once, and counts more by itself`, async () => {
    const rule = freshRule(0.001, 1);
    const other = await redisNode(server.url);
    const [here, there] = [node.rates.open(rule), other.rates.open(rule)];
    const keys = Array.from({ length: GATHERED_KEYS_MAX + 1 }, (_, n) => `key ${n}`);
    expect(keys.every((key) => here.take(key) === 0)).toBe(true);
    await node.settled();
    const asked = [keys.at(-2) ?? '', keys.at(-1) ?? ''];
    for (const key of asked) there.learn(key);
    await other.settled();
    expect(asked.map((key) => there.take(key) > 0)).toEqual([true, false]);
    other.close();
  });

  it(`settles ${PRESENCE_SWEEP_USERS_MAX} users of a partition in one sweep, the rest in the next`, async () => {
    const key = presenceDueKeyOf(newUser());
    const users: UserId[] = [];
    while (users.length <= PRESENCE_SWEEP_USERS_MAX) {
      const user = newUser();
      if (presenceDueKeyOf(user) === key) users.push(user);
    }
    await Promise.all(users.map((user) => node.presence.beat(sessionOf(user, 'phone'))));
    // A node a minute later, which sweeps when it is told to.
    const sweepMs = 3_600_000;
    const later = new RedisPresenceStore(node.link, node.channels, { shiftMs: () => 61_000, sweepMs });
    const present = async (): Promise<number> => {
      const views = await later.get(users);
      return views.filter(({ status }) => status === 'online').length;
    };
    expect(await present()).toBe(PRESENCE_SWEEP_USERS_MAX + 1);
    await later.sweep();
    expect(await present()).toBe(1);
    await later.sweep();
    expect(await present()).toBe(0);
    later.close();
  });

  it('notices that it hears nothing any more, and listens anew', async () => {
    const name = randomUUID();
    const told: string[] = [];
    let calls = 0;
    const beacon = new Beacon(node.channels, {
      node: name,
      isCluster: false,
      log: { warn: (message: string) => told.push(message) },
      deaf: () => {
        calls++;
        node.link.reconnectSubscribers();
      },
      beaconMs: 20,
      deafMs: 500,
    });
    const mail = new NodeMail(name, node.channels, { warn: () => undefined });
    const heard: unknown[] = [];
    mail.on('topic', (head) => heard.push(head));
    await node.settled();
    // As if the server had dropped the subscriptions without a word.
    for (const channel of [...beaconChannels(name, false), nodeChannel(name)]) {
      await node.link.unsubscribe(channel);
    }
    await eventually('a new connection', () => calls > 0);
    const letter = JSON.stringify({ from: 'another', topic: 'topic', head: 1 });
    await eventually('a letter', async () => {
      await server.command('SPUBLISH', nodeChannel(name), `${letter}\n`);
      return heard.length > 0;
    });
    expect(told).toContain('nothing is heard from redis any more: subscribing anew');
    beacon.close();
    mail.close();
  });
});
