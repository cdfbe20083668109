import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { validateServerFrame } from '../support/contract-validator';
import { Cluster, portOf } from '../support/cluster';
import { ClusterCrowd, type Delivery } from '../support/cluster-crowd';
import {
  areRelayed,
  clusterDelivery,
  costOfEvents,
  RELAY_MS_MAX,
  relayedShards,
  talkUntilRelayed,
} from '../support/cluster-delivery';
import { RawDevice, type Frame } from '../support/raw-device';
import { MachineUse } from '../support/machine-use';
import { describeWithRedis } from '../support/redis-server';
import { call, registerUser, type TestUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import type { ServerProcess } from '../support/server-process';

/** `npm run cluster`: starts a dozen nodes one after another, which takes minutes on a machine that does other work. */
const isLong = process.env['CLUSTER_SOCKETS'] !== undefined;
const inLongForm = isLong ? it : it.skip;
if (!isLong) {
  process.stderr.write(
    '\nNOT RUN: kills, flushes and a roll of a whole cluster; `npm run cluster` runs them.\n',
  );
}
const SOCKETS = Number(process.env['CLUSTER_SOCKETS'] ?? 16);
const RATE = Number(process.env['CLUSTER_RATE'] ?? 20);
const ROUNDS = Number(process.env['CLUSTER_ROUNDS'] ?? 1);
const DEVICES_EACH = 4;
/** Each starts several nodes; with the machine to itself one takes two seconds, on a bad day twenty. */
const PATIENCE_MS = 600_000;
/** A standby projects within these times, in the long form, which is not for a machine without time to spare. */
const AFTER_KILL_MS_MAX = 10_000;
const AFTER_STOP_MS_MAX = 20_000;
/** Under load before a roll, for comparison. */
const STEADY_MS = 8_000;
/** Well below the rate at which frames of one socket are refused. */
const HINT_AGAIN_MS = 200;
/** A node tells Redis its sockets again at once when it is back, and a lost subscription within ten seconds. */
const DEAF_MS_MAX = 60_000;
/** Any event at all is enough to relay. */
const RELAYING = { RELAY_ABOVE_EVENTS_PER_SECOND: '1' };
/** Longer than a lease: another relay takes over. */
const RELAY_STOPPED_MS = 12_000;
const run = promisify(execFile);
const tell = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
/** Median, 99th part and the worst, in milliseconds. */
function shares(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(0.999_999)} ms`;
}
const told = (deliveries: readonly Delivery[]): string =>
  `${deliveries.length} deliveries, ${shares(deliveries.map(({ ms }) => ms))}`;

describeWithRedis(`three gateways, two projectors (${SOCKETS} sockets, ${RATE} messages/s)`, () => {
  let cluster: Cluster;
  let gateways: ServerProcess[];
  let projectors: ServerProcess[];
  let relays: ServerProcess[] = [];
  let crowd: ClusterCrowd | undefined;

  beforeAll(async () => {
    cluster = await Cluster.start({ MESSAGES_PER_SECOND: '100', MESSAGES_BURST: '1000' });
    const nodes = (roles: string, count: number): Promise<ServerProcess[]> =>
      Promise.all(Array.from({ length: count }, () => cluster.node(roles)));
    [gateways, projectors] = await Promise.all([nodes('gateway', 3), nodes('projector,worker', 2)]);
  }, PATIENCE_MS);
  afterAll(async () => {
    await cluster.stop();
  }, PATIENCE_MS);
  afterEach(async () => {
    await crowd?.leave();
    crowd = undefined;
  });

  const gather = async (): Promise<ClusterCrowd> =>
    (crowd = await ClusterCrowd.gather(
      cluster.balancer.url,
      Math.max(1, Math.round(SOCKETS / DEVICES_EACH / 2)),
      DEVICES_EACH,
    ));
  /** `npm run verify`: folds the log and compares it with the read models, row by row. */
  const verify = async (): Promise<void> => {
    const env = { PATH: process.env['PATH'] ?? '', ...cluster.environment };
    const { stdout } = await run(process.execPath, [cluster.program('tools', 'verify', 'main.js')], { env });
    expect(stdout).toContain(': 0 differences');
  };
  /** Of all gateways: how many of their appends found that another node's had come first. */
  const conflicts = async (): Promise<string> => {
    const texts = await Promise.all(gateways.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
    const total = (name: string): number =>
      texts.reduce((sum, text) => sum + Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0), 0);
    const [refused, stored] = [total('parley_append_conflicts_total'), total('parley_appends_total')];
    return `${stored} appends, ${refused} refused first because another node's had come before`;
  };
  const holder = async (): Promise<string> => {
    const rows = await cluster.database.database.query<{ owner: string }>(
      `SELECT owner FROM read.leases WHERE name = 'live' AND expires_at > now() - interval '1 minute'`,
    );
    return rows[0]?.owner ?? '';
  };
  const projectorWithLease = async (): Promise<ServerProcess> => {
    const owner = await eventually('a holder of the lease', holder);
    const found = projectors.find(({ pid }) => owner.includes(`/${pid}/`));
    if (found === undefined) throw new Error(`${owner} is none of the projectors`);
    return found;
  };

  describe('one device, one user, whichever node', () => {
    let people: TestUser[];
    let room: string;
    const on = (n: number, user: TestUser, deviceId?: string): Promise<RawDevice> =>
      RawDevice.signIn(gateways[n]?.url ?? '', user.token, {
        inspect: validateServerFrame,
        ...(deviceId === undefined ? {} : { deviceId }),
      });
    const isFrom = (user: TestUser, event: string) => (frame: Frame) =>
      frame.event === event && [frame.data['userId'], frame.data['fromUserId']].includes(user.id);

    beforeEach(async () => {
      people = [
        await registerUser(gateways[0]?.url ?? '', 'ann'),
        await registerUser(gateways[1]?.url ?? '', 'bob'),
      ];
      const [ann, bob] = people as [TestUser, TestUser];
      const body = { kind: 'group', title: 'tea', memberIds: [bob.id] };
      const answer = await call(gateways[2]?.url ?? '', 'POST', '/api/v1/conversations', {
        token: ann.token,
        body,
      });
      room = (answer.body as { id: string }).id;
    });

    it('closes the older socket of a device with 4009', async () => {
      const [ann] = people as [TestUser];
      const older = await on(0, ann, 'phone');
      const newer = await on(1, ann, 'phone');
      expect((await older.waitForClose()).code).toBe(4009);
      expect((await newer.request('ping')).event).toBe('pong');
      await newer.close();
    });

    it('signs a device out everywhere, and refuses its tokens everywhere', async () => {
      const [ann] = people as [TestUser];
      const [phone, tablet] = [await on(0, ann, 'phone'), await on(1, ann, 'tablet')];
      await eventually('the device', async () => {
        const { body } = await call(gateways[2]?.url ?? '', 'GET', '/api/v1/devices', { token: ann.token });
        return (body as { items: { id: string }[] }).items.length === 2;
      });
      const path = '/api/v1/devices/phone';
      expect((await call(gateways[2]?.url ?? '', 'DELETE', path, { token: ann.token })).status).toBe(204);
      expect((await phone.waitForClose()).code).toBe(4009);
      // Both were of one sign-in, which has ended.
      expect((await tablet.waitForClose()).code).toBe(4009);
      for (const { url } of gateways) {
        await eventually('the refusal', async () => {
          const { status } = await call(url, 'GET', '/api/v1/users/me', { token: ann.token });
          return status === 401;
        });
      }
    });

    it('signs out everywhere also while redis is away, by way of PostgreSQL', async () => {
      const [ann] = people as [TestUser];
      const phone = await on(0, ann, 'phone');
      await cluster.redis.kill();
      try {
        const { status } = await call(gateways[1]?.url ?? '', 'POST', '/api/v1/auth/logout', {
          token: ann.token,
        });
        expect(status).toBe(204);
        expect((await phone.waitForClose()).code).toBe(4009);
      } finally {
        await cluster.redis.run();
      }
    });

    it('passes on typing, presence and call signals', async () => {
      const [ann, bob] = people as [TestUser, TestUser];
      const hers = await on(0, ann);
      // Redis may have come back this moment: until the node has noticed, presence is `unavailable`.
      const watching = await eventually('presence', async () => {
        const answer = await hers.request('presence.watch', { userIds: [bob.id] });
        return answer.event === 'ok' && answer;
      });
      expect(watching.data['presences']).toMatchObject([{ status: 'offline' }]);
      const his = await on(1, bob);
      // A node that has just found Redis again may first repeat that bob is offline.
      await hers.waitFor((f) => isFrom(bob, 'presence')(f) && f.data['status'] === 'online');
      await his.request('presence.set', { status: 'busy', customStatus: 'tea' });
      await hers.waitFor((f) => isFrom(bob, 'presence')(f) && f.data['customStatus'] === 'tea');
      // Hints get lost while a node finds its way back to Redis; people type on, and phones ring more than once.
      await eventually(
        'typing',
        async () => {
          await sleep(HINT_AGAIN_MS);
          his.sendText(JSON.stringify({ event: 'typing', data: { conversationId: room, isTyping: true } }));
          return hers.frames.some(isFrom(bob, 'typing'));
        },
        DEAF_MS_MAX,
      );
      const signal = { conversationId: room, callId: 'c', toUserId: ann.id, signal: { type: 'ring' } };
      await eventually(
        'a call',
        async () => {
          await sleep(HINT_AGAIN_MS);
          await his.request('call.signal', signal);
          return hers.frames.some(isFrom(bob, 'call.signal'));
        },
        DEAF_MS_MAX,
      );
      await Promise.all([hers.close(), his.close()]);
    });
  });

  clusterDelivery('from the log', () => gateways);

  /** Wherever the gateways have it from. */
  const underLoad = (): void => {
    inLongForm(
      'costs a gateway that nobody is connected to',
      async () => {
        const bystander = await cluster.node('gateway');
        await sleep(STEADY_MS);
        const micros = await costOfEvents(bystander, gateways[0] as ServerProcess);
        const source = (await relayedShards(bystander)) > 0 ? 'a relay' : 'the log';
        tell(`an event from ${source} costs ${micros.toFixed(1)} µs of CPU where it concerns nobody`);
        await cluster.kill(bystander);
      },
      PATIENCE_MS,
    );
    inLongForm(
      'goes on with the other projector after kill -9 and SIGSTOP of the first, and writes nothing twice',
      async () => {
        const talking = await gather();
        talking.talk(RATE);
        const progress = async (): Promise<string> => {
          const rows = await cluster.database.database.query<{ position: string }>(
            'SELECT min(commit_position)::text AS position FROM read.checkpoints',
          );
          return rows[0]?.position ?? '';
        };
        const takesOver = async (what: string, first: ServerProcess, msMax: number): Promise<void> => {
          const startedAt = performance.now();
          await eventually('another holder', async () => (await projectorWithLease()) !== first);
          const before = await progress();
          await eventually('progress', async () => (await progress()) !== before);
          const tookMs = performance.now() - startedAt;
          tell(`${what}: the standby projected after ${seconds(tookMs)} s`);
          expect(tookMs).toBeLessThan(msMax);
        };
        const killed = await projectorWithLease();
        await cluster.kill(killed);
        await takesOver('kill -9', killed, AFTER_KILL_MS_MAX);
        projectors = projectors.filter((one) => one !== killed);
        const stopped = await projectorWithLease();
        projectors.push(await cluster.node('projector,worker'));
        stopped.signal('SIGSTOP');
        await takesOver('SIGSTOP', stopped, AFTER_STOP_MS_MAX);
        stopped.signal('SIGCONT');
        await sleep(1_000);
        expect(await projectorWithLease()).not.toBe(stopped);
        await talking.settle();
        await talking.check();
        await verify();
      },
      PATIENCE_MS,
    );

    inLongForm(
      'loses and doubles nothing while gateways are killed and redis is flushed and killed',
      async () => {
        const talking = await gather();
        talking.talk(RATE);
        for (let round = 0; round < ROUNDS; round++) {
          await sleep(1_000);
          const victim = gateways[Math.floor(Math.random() * gateways.length)] as ServerProcess;
          await cluster.kill(victim);
          gateways = gateways.filter((one) => one !== victim);
          await cluster.redis.command('FLUSHALL');
          gateways.push(await cluster.node('gateway'));
          await cluster.redis.kill();
          await sleep(500);
          await cluster.redis.run();
        }
        await talking.settle();
        tell(`${await talking.check()} messages over ${ROUNDS} kills of a gateway and of redis`);
        await verify();
      },
      PATIENCE_MS,
    );

    inLongForm(
      'is restarted whole under load: nothing lost or doubled, each device reconnects once',
      async () => {
        const talking = await gather();
        talking.talk(RATE);
        await sleep(STEADY_MS);
        tell(`before the roll: ${told(talking.deliveries)}`);
        tell(`  ${await conflicts()}`);
        talking.deliveries = [];
        talking.moves = [];
        for (const watched of talking.devices) watched.lost = 0;
        const use = new MachineUse();
        const startedAt = performance.now();
        const old = gateways;
        gateways = [];
        for (const gateway of old) {
          gateways.push(await cluster.node('gateway'));
          // With the first new one up, whoever has to move moves to a new one.
          for (const one of old) cluster.balancer.retire(portOf(one));
          expect(await cluster.drain(gateway)).toBe(0);
        }
        for (const projector of projectors.splice(0, 2)) {
          projectors.push(await cluster.node('projector,worker'));
          expect(await cluster.drain(projector)).toBe(0);
        }
        const rolledMs = performance.now() - startedAt;
        const used = use.told();
        await talking.settle();
        const messages = await talking.check();
        tell(
          `during the roll of ${seconds(rolledMs)} s (${messages} messages in all): ${told(talking.deliveries)}`,
        );
        for (const circumstance of ['both there', 'sender away', 'receiver away'] as const) {
          const some = talking.deliveries.filter((one) => one.circumstance === circumstance);
          tell(`  ${circumstance}: ${told(some)}`);
        }
        const { moves } = talking;
        tell(`  ${used}`);
        tell(`  ${moves.length} moves: away ${shares(moves.map((move) => move.awayMs))}`);
        tell(`  then catching up ${shares(moves.map((move) => move.catchUpMs))}`);
        const reconnects = talking.devices.map(({ lost }) => lost);
        expect(reconnects).toEqual(reconnects.map(() => 1));
        await verify();
      },
      PATIENCE_MS,
    );
  };
  underLoad();

  describe('with relays', () => {
    const relaying = (): Promise<unknown> => eventually('a relay', () => areRelayed(gateways), RELAY_MS_MAX);

    beforeAll(async () => {
      relays = [await cluster.node('relay', RELAYING), await cluster.node('relay', RELAYING)];
      await talkUntilRelayed(gateways);
    }, PATIENCE_MS);
    // Gateways of the long form are new, and relays may have been killed: then it takes a moment.
    afterEach(async () => {
      await relaying();
    });

    clusterDelivery('by a relay', () => gateways);

    underLoad();
    inLongForm(
      'loses and doubles nothing while relays are killed and stopped, and redis is flushed and killed',
      async () => {
        const talking = await gather();
        talking.talk(RATE);
        for (let round = 0; round < ROUNDS; round++) {
          const [first, ...others] = relays as [ServerProcess, ...ServerProcess[]];
          await sleep(1_000);
          first.signal('SIGSTOP');
          await sleep(RELAY_STOPPED_MS);
          first.signal('SIGCONT');
          await sleep(1_000);
          await cluster.kill(first);
          relays = [...others, await cluster.node('relay', RELAYING)];
          await cluster.redis.command('FLUSHALL');
          await sleep(1_000);
          await cluster.redis.kill();
          await sleep(3_000);
          await cluster.redis.run();
        }
        await talking.settle();
        tell(`${await talking.check()} messages over ${ROUNDS} kills of a relay and of redis`);
        await relaying();
        await verify();
      },
      PATIENCE_MS,
    );
  });
});
