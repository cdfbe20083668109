import { setTimeout as sleep } from 'node:timers/promises';
import { pick } from '../crowd/random';
import type { Scenario, Stage } from '../scenario';
import type { Program } from '../world/program';
import type { Node, World } from '../world/world';

/** Another one has taken over, and works, within these times: of a holder that was killed, of one that stands still. */
const AFTER_KILL_MS_MAX = 10_000;
const AFTER_STOP_MS_MAX = 20_000;
/** What nobody took over within this time nobody will. */
const TAKEOVER_PATIENCE_MS = 60_000;
const POLL_MS = 50;
const LEASES = ['live', 'expired-sign-ins'] as const;
type LeaseName = (typeof LEASES)[number];

interface Standing {
  readonly owner: string;
  /** Which taking of the lease this is. */
  readonly token: string;
}

async function standing(world: World, lease: LeaseName): Promise<Standing | undefined> {
  const sql = `SELECT owner, token::text FROM read.leases WHERE name = '${lease}'`;
  const rows = await world.query<{ owner: string; token: string }>(sql);
  return rows[0];
}

/** All checkpoints as one text: it changes whenever anything is projected. */
async function checkpoints(world: World): Promise<string> {
  const sql = `SELECT coalesce(string_agg(c::text, ' ' ORDER BY c::text), '') AS all_of_them FROM read.checkpoints c`;
  return (await world.query<{ all_of_them: string }>(sql))[0]?.all_of_them ?? '';
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + TAKEOVER_PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`no ${what} within ${TAKEOVER_PATIENCE_MS} ms`);
    await sleep(POLL_MS);
  }
}

const isOwner = ({ program }: Node, { owner }: Standing): boolean =>
  owner.split('/')[1] === String(program.pid);

async function holderOf(world: World, lease: LeaseName): Promise<Node> {
  return until(`holder of ${lease}`, async () => {
    const now = await standing(world, lease);
    return now && world.projectors.find((node) => isOwner(node, now));
  });
}

/** Each of the two leases has another holder than `first`, and read models move again. @returns how long each took */
async function takenOver(world: World, first: Node): Promise<Record<LeaseName, number>> {
  const beganAt = performance.now();
  const before = new Map(
    await Promise.all(LEASES.map(async (lease) => [lease, await standing(world, lease)] as const)),
  );
  const concerned = LEASES.filter((lease) => {
    const was = before.get(lease);
    return was !== undefined && isOwner(first, was);
  });
  const took = await Promise.all(
    concerned.map(async (lease) => {
      await until(`other holder of ${lease}`, async () => {
        const now = await standing(world, lease);
        return now && now.token !== before.get(lease)?.token && !isOwner(first, now) ? now : undefined;
      });
      if (lease === 'live') {
        const then = await checkpoints(world);
        await until('progress', async () => ((await checkpoints(world)) === then ? undefined : true));
      }
      return [lease, performance.now() - beganAt] as const;
    }),
  );
  return Object.fromEntries(took) as Record<LeaseName, number>;
}

function insist(what: string, took: Partial<Record<LeaseName, number>>, msMax: number): void {
  for (const [lease, ms] of Object.entries(took)) {
    process.stdout.write(`       ${what}: ${lease} was taken over after ${(ms / 1_000).toFixed(1)} s\n`);
    if (ms > msMax) throw new Error(`${what}: ${lease} was taken over after ${ms.toFixed(0)} ms`);
  }
}

async function takeOverTwice({ world, acknowledged }: Stage, lease: LeaseName): Promise<void> {
  const killed = await holderOf(world, lease);
  await killed.program.kill();
  insist('kill -9', await takenOver(world, killed), AFTER_KILL_MS_MAX);
  await killed.program.start();
  await acknowledged(20);
  const stopped = await holderOf(world, lease);
  stopped.program.signal('SIGSTOP');
  insist('SIGSTOP', await takenOver(world, stopped), AFTER_STOP_MS_MAX);
  const since = await standing(world, lease);
  stopped.program.signal('SIGCONT');
  await acknowledged(60);
  const now = await standing(world, lease);
  if (now?.token !== since?.token) throw new Error(`${lease} changed hands when its first holder woke up`);
}

/** The shard's relay: of all who have the role, the one that holds the lease. */
async function relayOf(world: World): Promise<Node> {
  return until('relay', async () => {
    const sql = `SELECT owner, token::text FROM read.leases WHERE name = 'relay@0' AND expires_at > now()`;
    const [now] = await world.query<Standing>(sql);
    return now && world.relays.find((node) => isOwner(node, now));
  });
}

/** All gateways that run have their events from a relay, and not from the log. */
async function relayed({ world, acknowledged }: Stage): Promise<void> {
  await until('gateway that follows the log', async () => {
    // Below the rate nothing is relayed: people must be talking.
    await acknowledged(1);
    const sources = await Promise.all(
      world.gateways.map(async ({ door }) => {
        const metrics = await fetch(`http://127.0.0.1:${door?.port ?? 0}/metrics`).then((it) => it.text());
        return metrics.includes('parley_feed_shards{source="relay"} 1');
      }),
    );
    return sources.every((isRelay) => isRelay) ? true : undefined;
  });
}

/**
 * Three gateways behind one balancer that knows nobody, three projectors of which two stand by, and Redis: what
 * several machines would be. What they wrote is compared with the log afterwards, by `npm run verify`.
 */
export const FLEET_SCENARIOS: readonly Scenario[] = [
  {
    name: 'fleet-takeover',
    what: 'kill -9 and SIGSTOP of who holds a lease; the next one works in 10 s and 20 s; the first wakes up in vain',
    topology: 'fleet',
    play: async (stage) => {
      await stage.acknowledged(40);
      for (let n = stage.form === 'short' ? 1 : 2; n > 0; n--) {
        for (const lease of LEASES) await takeOverTwice(stage, lease);
      }
    },
  },
  {
    name: 'fleet-redis',
    what: 'Redis is flushed, killed, stopped and cut off from one gateway under load: messages do not notice',
    topology: 'fleet',
    play: async ({ world, random, form, pause, acknowledged }) => {
      const { redis } = world;
      if (redis === undefined) throw new Error('a fleet has a Redis');
      for (let n = form === 'short' ? 1 : 4; n > 0; n--) {
        await acknowledged(20);
        await redis.command('FLUSHALL');
        await acknowledged(20);
        redis.signal('SIGSTOP');
        await acknowledged(20);
        redis.signal('SIGCONT');
        await redis.kill();
        await acknowledged(20);
        await redis.run();
        const line = pick(world.linesTo('redis'), random);
        Object.assign(line.blackHole, { toServer: true, toClient: true });
        await acknowledged(20);
        await pause(0, 3_000);
        line.heal();
        line.cut();
      }
    },
  },
  {
    name: 'fleet-relays',
    what: 'the relay is killed, stopped past its lease and cut off; Redis is flushed and killed: gateways go on from the log',
    topology: 'fleet',
    relays: 2,
    play: async (stage) => {
      const { world, random, form, pause, acknowledged } = stage;
      const { redis } = world;
      if (redis === undefined) throw new Error('a fleet has a Redis');
      for (let n = form === 'short' ? 1 : 3; n > 0; n--) {
        await relayed(stage);
        const killed = await relayOf(world);
        await killed.program.kill();
        await acknowledged(40);
        await killed.program.start();
        await relayed(stage);
        const stopped = await relayOf(world);
        // Long enough for the other one to take over: then two speak when it wakes up.
        await stopped.program.paused(13_000, () => acknowledged(20));
        await relayed(stage);
        await redis.command('FLUSHALL');
        await acknowledged(20);
        await redis.kill();
        await acknowledged(60);
        await redis.run();
        await relayed(stage);
        const line = pick(world.linesTo('redis'), random);
        Object.assign(line.blackHole, { toServer: random() < 0.5, toClient: true });
        await pause(2_000, 6_000);
        line.heal();
        line.cut();
        await relayed(stage);
        (await relayOf(world)).toEventStore?.cut();
        await acknowledged(20);
      }
    },
  },
  {
    name: 'fleet-gateways',
    what: 'every gateway in turn is killed, stopped past the patience of its devices, and drained; devices move',
    topology: 'fleet',
    play: async ({ world, form, acknowledged }) => {
      const programs = world.gateways.map(({ program }) => program);
      const misfortunes: readonly ((program: Program) => Promise<void>)[] = [
        async (program) => {
          await program.kill();
          await acknowledged(20);
          await program.start();
        },
        (program) => program.paused(form === 'short' ? 3_000 : 15_000, () => acknowledged(20)),
        async (program) => {
          await program.stop();
          await acknowledged(20);
          await program.start();
        },
      ];
      if (form === 'short') {
        for (const [n, befall] of misfortunes.entries())
          await befall(programs[n % programs.length] as Program);
        return;
      }
      for (let round = 0; round < 3; round++) {
        for (const program of programs) for (const befall of misfortunes) await befall(program);
      }
    },
  },
];
