import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { NodeNotice } from '../../../src/application/ports/node-notices';
import type { EphemeralFrame, PresenceView } from '../../../src/application/ports/presence';
import type { SessionKey } from '../../../src/application/ports/presence';
import { asDeviceId, asUserId } from '../../../src/kernel/ids';
import { LOOKED_UP_USERS_MAX } from '../../../src/infrastructure/redis/redis-ephemeral-bus';
import { freshRule, granted } from '../../contracts/rate-limits.contract';
import { newUser, sessionOf } from '../../contracts/socket-directory.contract';
import { redisNode, type TestRedisNode } from '../../support/redis-ports';
import { describeWithRedis, RedisServer, RedisServerCluster } from '../../support/redis-server';
import { eventually } from '../../support/sdk-device';

Logger.overrideLogger(false);

/** Over one server, and over a cluster of three: what lies where is nobody's business. */
describe.each([
  ['one redis', () => RedisServer.start()],
  ['a redis cluster', () => RedisServerCluster.start()],
] as const)('two nodes on %s', (name, start) => {
  describeWithRedis(name, () => {
    let server: RedisServer | RedisServerCluster;
    let a: TestRedisNode;
    let b: TestRedisNode;

    beforeAll(async () => {
      server = await start();
    });
    beforeEach(async () => {
      [a, b] = await Promise.all([redisNode(server.url, 3), redisNode(server.url, 3)]);
    });
    afterEach(async () => {
      a.close();
      b.close();
      // What a test killed and did not start again.
      if (!server.isRunning) await server.run();
    });
    afterAll(async () => {
      await server.stop();
    });
    const settled = async (): Promise<void> => {
      await a.settled();
      await b.settled();
    };
    const heardBy = (node: TestRedisNode): EphemeralFrame[] => {
      const frames: EphemeralFrame[] = [];
      node.bus.subscribe((frame) => frames.push(frame));
      return frames;
    };
    const outage = async (): Promise<void> => {
      await server.kill();
      await eventually('both nodes to notice', () => !a.link.isUp && !b.link.isUp);
    };
    const back = async (): Promise<void> => {
      await server.run();
      await eventually('both nodes to be back', () => a.link.isUp && b.link.isUp);
      await settled();
    };

    describe('frames', () => {
      it('reach the nodes of their receivers, as they are, once, and no others', async () => {
        const [ann, bob, cid] = [newUser(), newUser(), newUser()];
        const c = await redisNode(server.url);
        await b.directory.register(sessionOf(ann, 'phone'), 0);
        await b.directory.register(sessionOf(bob, 'phone'), 0);
        await a.directory.register(sessionOf(ann, 'laptop'), 0);
        const [atA, atB, atC] = [heardBy(a), heardBy(b), heardBy(c)];
        const bytes = Buffer.from('{"text":"ä\n\u0000"}');
        a.bus.publish({ userIds: [ann, cid], exceptSessionId: 's', onlyDeviceId: asDeviceId('d'), bytes });
        await eventually('the frame', () => atB.length > 0);
        await settled();
        expect(atB).toEqual([{ userIds: [ann], exceptSessionId: 's', onlyDeviceId: asDeviceId('d'), bytes }]);
        expect([atA.length, atC.length]).toEqual([1, 0]);
        c.close();
      });

      it('go to all nodes when they are for very many', async () => {
        const many = Array.from({ length: LOOKED_UP_USERS_MAX + 1 }, () => newUser());
        const [atA, atB] = [heardBy(a), heardBy(b)];
        a.bus.publish({ userIds: many, bytes: Buffer.from('x') });
        await eventually('the frame', () => atB.length > 0);
        await settled();
        expect([atA.length, atB.length]).toEqual([1, 1]);
        expect(atB[0]?.userIds).toEqual(many);
        a.bus.publish({ userIds: many.slice(1), bytes: Buffer.from('x') });
        await settled();
        expect(atB.length).toBe(1);
      });

      it('are delivered here while redis is away, and everywhere once it is back', async () => {
        const ann = newUser();
        const session = sessionOf(ann, 'phone');
        await b.directory.register(session, 0);
        const [atA, atB] = [heardBy(a), heardBy(b)];
        await outage();
        a.bus.publish({ userIds: [ann], bytes: Buffer.from('1') });
        expect(atA.length).toBe(1);
        await back();
        // Without a heartbeat: a node tells which sockets it has as soon as it is connected again.
        await eventually('the entry', async () => (await a.directory.nodesOf([ann])).size > 0);
        a.bus.publish({ userIds: [ann], bytes: Buffer.from('2') });
        await eventually('the frame', () => atB.length > 0);
        expect(atB.map(({ bytes }) => bytes.toString())).toEqual(['2']);
      });

      it('survive nonsense from whoever else may publish', async () => {
        const ann = newUser();
        await b.directory.register(sessionOf(ann, 'phone'), 0);
        const atB = heardBy(b);
        for (const nonsense of [
          '',
          'x',
          '{}\n',
          'null\nx',
          '[1]\n',
          '{"topic":"frame"}\n',
          '{"topic":"notice","head":7}\n',
        ]) {
          await server.command('SPUBLISH', 'parley:{n:all}:mail', nonsense);
        }
        a.bus.publish({ userIds: [ann], bytes: Buffer.from('1') });
        await eventually('the frame', () => atB.some(({ bytes }) => bytes.toString() === '1'));
      });
    });

    it('tells notices to the others, not to oneself', async () => {
      const heard: [string, NodeNotice][] = [];
      a.notices.subscribe((notice) => heard.push(['a', notice]));
      b.notices.subscribe((notice) => heard.push(['b', notice]));
      const notice: NodeNotice = { kind: 'signOut', userId: newUser(), signInId: 's' };
      a.notices.tellOthers(notice);
      await eventually('the notice', () => heard.length > 0);
      await settled();
      expect(heard).toEqual([['b', notice]]);
    });

    describe('sockets', () => {
      it('displaces the older socket of a device on another node', async () => {
        const ann = newUser();
        const displaced: [string, SessionKey][] = [];
        a.directory.onDisplaced((session) => displaced.push(['a', session]));
        b.directory.onDisplaced((session) => displaced.push(['b', session]));
        const [older, newer] = [sessionOf(ann, 'phone'), sessionOf(ann, 'phone')];
        await a.directory.register(older, 0);
        await b.directory.register(newer, 0);
        await eventually('the older one to be told', () => displaced.length > 0);
        await settled();
        expect(displaced).toEqual([['a', older]]);
        expect(await b.directory.refresh(newer)).toBe('registered');
      });

      it('counts the sockets of a user over both nodes', async () => {
        const ann = newUser();
        for (const [node, device] of [
          [a, '1'],
          [b, '2'],
          [a, '3'],
        ] as const)
          expect(await node.directory.register(sessionOf(ann, device), 0)).toBe('registered');
        expect(await b.directory.register(sessionOf(ann, '4'), 0)).toBe('tooMany');
      });

      it('knows all of them again after a flush, with the next heartbeats', async () => {
        const ann = newUser();
        const sessions = [sessionOf(ann, '1'), sessionOf(ann, '2'), sessionOf(ann, '3')];
        for (const session of sessions) await a.directory.register(session, 0);
        await server.command('FLUSHALL');
        for (const session of sessions) expect(await a.directory.refresh(session)).toBe('registered');
        expect(await b.directory.register(sessionOf(ann, '4'), 0)).toBe('tooMany');
      });

      it('lets everybody in while redis is away, and finds the newer one when it is back', async () => {
        const ann = newUser();
        const displaced: SessionKey[] = [];
        a.directory.onDisplaced((session) => displaced.push(session));
        const [older, newer] = [sessionOf(ann, 'phone'), sessionOf(ann, 'phone')];
        await a.directory.register(older, 0);
        await outage();
        await sleep(20);
        expect(await b.directory.register(newer, 0)).toBe('registered');
        await back();
        await eventually('the older one to be told', () => displaced.length > 0);
        expect(displaced).toEqual([older]);
        expect(await b.directory.refresh(newer)).toBe('registered');
      });
    });

    describe('presence', () => {
      const watching = async (node: TestRedisNode, ...users: ReturnType<typeof newUser>[]) => {
        const heard: PresenceView[] = [];
        node.presence.onChange((view) => heard.push(view));
        await node.presence.follow(users);
        return { heard, statuses: () => heard.map(({ status }) => status) };
      };

      it('is told to the nodes that follow the user, and to no others', async () => {
        const [ann, bob] = [newUser(), newUser()];
        const { statuses } = await watching(b, ann);
        const other = await watching(a, bob);
        await a.presence.set(sessionOf(ann, 'phone'), 'busy', 'tea');
        await eventually('the change', () => statuses().length > 0);
        b.presence.unfollow([ann]);
        await a.presence.set(sessionOf(ann, 'laptop'), 'online');
        await settled();
        expect(statuses()).toEqual(['busy']);
        expect(other.statuses()).toEqual([]);
      });

      it('is the most present of sessions on several nodes', async () => {
        const ann = newUser();
        const { statuses } = await watching(b, ann);
        const [phone, laptop] = [sessionOf(ann, 'phone'), sessionOf(ann, 'laptop')];
        await a.presence.set(phone, 'away');
        await b.presence.beat(laptop);
        await b.presence.leave(laptop);
        await settled();
        expect(statuses()).toEqual(['away', 'online', 'away']);
      });

      it('does not flap when a device leaves one node and comes to another', async () => {
        const ann = newUser();
        const { statuses } = await watching(b, ann);
        const phone = sessionOf(ann, 'phone');
        await a.presence.set(phone, 'busy', 'tea');
        await a.presence.leave(phone);
        const again = { ...phone, sessionId: randomUUID() };
        await b.presence.beat(again);
        b.shift += 11_000;
        await b.presence.sweep();
        await settled();
        expect(statuses()).toEqual(['busy']);
      });

      it('never shows who is invisible, on no node, over no reconnect and no flush', async () => {
        const ann = newUser();
        const { statuses } = await watching(b, ann);
        const phone = sessionOf(ann, 'phone');
        await a.presence.set(phone, 'invisible', 'here, really');
        const again = { ...phone, sessionId: randomUUID() };
        await b.presence.beat(again);
        await a.presence.leave(phone);
        await server.command('FLUSHALL');
        await b.presence.beat(again);
        await settled();
        expect(statuses()).toEqual([]);
        expect(await a.presence.get([ann])).toMatchObject([{ status: 'offline' }]);
      });

      it('ends with the node that died, told by another one', async () => {
        const ann = newUser();
        await a.presence.beat(sessionOf(ann, 'phone'));
        const { statuses } = await watching(b, ann);
        a.close();
        b.shift += 61_000;
        await b.presence.sweep();
        await eventually('the end', () => statuses().length > 0);
        expect(statuses()).toEqual(['offline']);
      });

      it('comes back with what each session said of itself after a flush, with its next heartbeat', async () => {
        const ann = newUser();
        const session = sessionOf(ann, 'phone');
        await a.presence.set(session, 'busy', 'tea');
        await server.command('FLUSHALL');
        expect(await b.presence.get([ann])).toMatchObject([{ status: 'offline' }]);
        await a.presence.beat(session);
        expect(await b.presence.get([ann])).toMatchObject([{ status: 'busy', customStatus: 'tea' }]);
      });

      it('rejects at once while redis is away, and comes back by itself, told to who follows', async () => {
        const ann = newUser();
        const session = sessionOf(ann, 'phone');
        await a.presence.set(session, 'busy', 'tea');
        await outage();
        await expect(a.presence.beat(session)).rejects.toThrow('redis');
        await expect(b.presence.get([ann])).rejects.toThrow('redis');
        const heard: PresenceView[] = [];
        b.presence.onChange((view) => heard.push(view));
        await expect(b.presence.follow([ann])).rejects.toThrow('redis');
        await back();
        await eventually('ann', () => heard.some(({ status }) => status === 'busy'));
      });
    });

    describe('rates', () => {
      it('are one over both nodes, but for what was granted before they heard of each other', async () => {
        const rule = freshRule(1, 10);
        const [atA, atB] = [a.rates.open(rule), b.rates.open(rule)];
        expect(granted(atA, 'ann', 10)).toBe(10);
        await settled();
        atB.learn('ann');
        await settled();
        expect(granted(atB, 'ann', 10)).toBe(0);
        // Both at once, unheard of each other, as a user with a socket on each may: at most a burst a node.
        const both = granted(atA, 'bob', 99) + granted(atB, 'bob', 99);
        await settled();
        a.shift += 5_000;
        b.shift += 5_000;
        expect(both).toBe(20);
        const more = granted(atA, 'bob', 99);
        await settled();
        expect(more + granted(atB, 'bob', 99)).toBeLessThanOrEqual(10);
      });

      it('fall back to those of each node while redis is away', async () => {
        await outage();
        const rule = freshRule(1, 4);
        expect([granted(a.rates.open(rule), 'ann', 9), granted(b.rates.open(rule), 'ann', 9)]).toEqual([
          4, 4,
        ]);
      });
    });

    it('answers within its time while redis hangs, and is itself again when it wakes', async () => {
      const ann = newUser();
      server.signal('SIGSTOP');
      try {
        expect(await a.directory.register(sessionOf(ann, 'phone'), 0)).toBe('registered');
        // Nobody else waits for it.
        await expect(a.presence.get([ann])).rejects.toThrow('redis is down');
      } finally {
        server.signal('SIGCONT');
      }
      await eventually('redis', () => a.link.isUp && b.link.isUp);
      const heard: PresenceView[] = [];
      b.presence.onChange((view) => heard.push(view));
      await b.presence.follow([ann]);
      await a.presence.beat({ userId: ann, deviceId: asDeviceId('phone'), sessionId: randomUUID() });
      await eventually('ann', () => heard.some(({ status }) => status === 'online'));
      expect(asUserId(ann)).toBe(ann);
    });
  });
});
