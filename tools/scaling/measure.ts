import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beginPairs, connectAll } from '../../bench/load/crowd';
import type { Device } from '../../bench/load/device';
import { Flow } from '../../bench/load/flow';
import { makeGroup } from '../../bench/load/groups';
import { Pacer } from '../../bench/load/pacer';
import { usageOf, type Usage } from '../../bench/load/processes';
import { freePort, Server, THIS_BUILD } from '../../bench/load/server';
import type { UnitCosts } from './model';

/** What is measured; the rest of the costs are limits that somebody chose or that other servers have. */
export type MeasuredCosts = Pick<
  UnitCosts,
  | 'sendCpuMicros'
  | 'deliveryCpuMicros'
  | 'feedCpuMicros'
  | 'projectionCpuMicros'
  | 'socketBytes'
  | 'nodeBytes'
  | 'logBytesPerMessage'
  | 'eventsPerMessage'
  | 'rowsPerMessage'
  | 'postgresBytesPerMessage'
>;

const PAIRS = 50;
const MESSAGES = 6_000;
const PER_SECOND = 400;
const ROOMS = 4;
const MEMBERS = 50;
const ROOM_MESSAGES = 400;
const ROOM_PER_SECOND = 40;
const BODY_BYTES = 64;
const SOCKETS = [500, 3_000] as const;
/** Read models follow, receipts gather, memory is given back. */
const REST_MS = 5_000;
const START_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 120_000;

interface Counts {
  readonly rows: number;
  readonly bytes: number;
  readonly logBytes: number;
  readonly events: number;
}

interface Course {
  readonly server: Server;
  readonly logPort: number;
}

/** Measures what one thing costs, on nodes of its own that it starts, in about two minutes. */
export async function measureUnitCosts(tell: (text: string) => void): Promise<MeasuredCosts> {
  const logPort = await freePort();
  const server = await Server.start(THIS_BUILD, undefined, {
    environment: { EVENTSTORE_GRPC_PORT: String(logPort) },
  });
  try {
    const course: Course = { server, logPort };
    tell(`${MESSAGES} messages in pairs, ${PER_SECOND}/s, and a gateway that nobody is connected to`);
    const pairs = await pairsOf(course);
    tell(`${ROOM_MESSAGES} messages in rooms of ${MEMBERS}`);
    const deliveryCpuMicros = await deliveryOf(course, pairs.sendCpuMicros);
    tell(`${SOCKETS[1]} idle sockets`);
    return { ...pairs, deliveryCpuMicros, ...(await memoryOf()) };
  } finally {
    await server.stop();
  }
}

async function pairsOf(
  course: Course,
): Promise<Omit<MeasuredCosts, 'deliveryCpuMicros' | 'socketBytes' | 'nodeBytes'>> {
  const { server } = course;
  const idle = await IdleGateway.start(course);
  const flow = new Flow({ bodyBytes: BODY_BYTES, receipts: 'gathered' });
  const devices = await connectAll(server.port, await server.people(2 * PAIRS), flow);
  try {
    const ids = await beginPairs(devices);
    await sleep(REST_MS);
    const before = await countsOf(server);
    const [used, followed] = [usageOf(server.pid), usageOf(idle.pid)];
    await send(flow, MESSAGES, PER_SECOND, (n) => [
      devices[n % devices.length],
      ids[(n % devices.length) >> 1],
    ]);
    const after = await settled(server);
    const [usedThen, followedThen] = [usageOf(server.pid), usageOf(idle.pid)];
    const events = after.events - before.events;
    const own = (part: keyof Usage): number => usedThen[part] - used[part];
    return {
      sendCpuMicros: own('mainThreadUs') / MESSAGES,
      projectionCpuMicros: (own('nodeUs') - own('mainThreadUs')) / events,
      feedCpuMicros: (followedThen.nodeUs - followed.nodeUs) / events,
      eventsPerMessage: events / MESSAGES,
      logBytesPerMessage: (after.logBytes - before.logBytes) / MESSAGES,
      rowsPerMessage: (after.rows - before.rows) / MESSAGES,
      postgresBytesPerMessage: (after.bytes - before.bytes) / MESSAGES,
    };
  } finally {
    for (const device of devices) device.destroy();
    await idle.stop();
  }
}

async function deliveryOf({ server }: Course, sendCpuMicros: number): Promise<number> {
  const people = await server.people(ROOMS * MEMBERS);
  const ids: string[] = [];
  for (let room = 0; room < ROOMS; room++) {
    ids.push(await makeGroup(server.port, people.slice(room * MEMBERS, (room + 1) * MEMBERS)));
  }
  const flow = new Flow({ bodyBytes: BODY_BYTES, receipts: 'off' });
  const devices = await connectAll(server.port, people, flow);
  try {
    await sleep(REST_MS);
    flow.begin();
    const used = usageOf(server.pid);
    await send(flow, ROOM_MESSAGES, ROOM_PER_SECOND, (n) => [devices[(n % ROOMS) * MEMBERS], ids[n % ROOMS]]);
    await sleep(REST_MS);
    const { acked, delivered } = flow.begin();
    const perMessage = (usageOf(server.pid).mainThreadUs - used.mainThreadUs) / acked;
    return Math.max(1, perMessage - sendCpuMicros) / Math.max(1, delivered / acked - 1);
  } finally {
    for (const device of devices) device.destroy();
  }
}

/** On a node of its own, which has not carried anything yet. */
async function memoryOf(): Promise<Pick<MeasuredCosts, 'socketBytes' | 'nodeBytes'>> {
  const server = await Server.start(THIS_BUILD);
  const devices: Device[] = [];
  try {
    const [few, many] = SOCKETS;
    await sleep(REST_MS);
    const nodeBytes = usageOf(server.pid).nodeBytes;
    devices.push(...(await connectAll(server.port, await server.people(few), {})));
    await sleep(REST_MS);
    const before = usageOf(server.pid).nodeBytes;
    devices.push(...(await connectAll(server.port, await server.people(many - few), {})));
    await sleep(2 * REST_MS);
    return { nodeBytes, socketBytes: (usageOf(server.pid).nodeBytes - before) / (many - few) };
  } finally {
    for (const device of devices) device.destroy();
    await server.stop();
  }
}

/** Sends `count` messages at a rate and waits for their answers. @throws Error when one was refused */
async function send(
  flow: Flow,
  count: number,
  perSecond: number,
  from: (n: number) => readonly [Device | undefined, string | undefined],
): Promise<void> {
  let sent = 0;
  const pacer = new Pacer(perSecond, (at) => {
    if (sent >= count) return;
    const [device, conversationId] = from(sent++);
    if (device !== undefined && conversationId !== undefined) flow.send(device, conversationId, at);
  });
  pacer.start();
  const deadline = performance.now() + (count / perSecond) * 1_000 + SETTLE_TIMEOUT_MS;
  while (sent < count || flow.underWay > 0) {
    if (performance.now() > deadline) throw new Error(`${flow.underWay} messages were not answered`);
    await sleep(100);
  }
  pacer.stop();
  if (flow.measured.refused > 0) throw new Error(`messages were refused: ${flow.lastRefusal}`);
}

async function countsOf(server: Server): Promise<Counts> {
  const database = await server.database();
  try {
    // Statistics of sessions that go on working are told with a delay.
    const { rows } = await database.query<{ rows: string; bytes: string; events: string }>(
      `SELECT (SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables
                WHERE schemaname = 'read' AND relname NOT IN ('checkpoints', 'leases')) AS rows,
              (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'read' AND c.relkind = 'r') AS bytes,
              (SELECT sum(head_seq + 1) FROM read.inbox_conversations) AS events`,
    );
    const [found] = rows;
    const [written = 0, bytes = 0, events = 0] = [found?.rows, found?.bytes, found?.events].map(Number);
    return { rows: written, bytes, events, logBytes: bytesIn(join(server.dataDir, 'events')) };
  } finally {
    await database.end();
  }
}

/** Twice the same: nothing is written any more. */
async function settled(server: Server): Promise<Counts> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  for (let last = await countsOf(server); ;) {
    await sleep(REST_MS);
    const counts = await countsOf(server);
    if (counts.events === last.events && counts.rows === last.rows) return counts;
    if (performance.now() > deadline) throw new Error('the read models do not come to rest');
    last = counts;
  }
}

/** On disk, without what a sparse file promises. */
function bytesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).blocks * 512, 0);
}

/** A gateway on the same stores that no device connects to: what it uses is for events of others. */
class IdleGateway {
  private constructor(
    private readonly child: ChildProcess,
    private readonly dataDir: string,
  ) {}

  static async start({ server, logPort }: Course): Promise<IdleGateway> {
    const dataDir = await mkdtemp(join(tmpdir(), 'parley-idle-'));
    const port = await freePort();
    const read = async (name: string): Promise<string> =>
      (await readFile(join(server.dataDir, 'postgres', name), 'utf8')).trim();
    const [password, postgres] = [await read('password'), await read('port')];
    const child = spawn(process.execPath, [...THIS_BUILD.flags, THIS_BUILD.script], {
      env: {
        PATH: process.env['PATH'] ?? '',
        ROLES: 'gateway',
        HOST: '127.0.0.1',
        PORT: String(port),
        DATA_DIR: dataDir,
        LOG_LEVEL: 'error',
        JWT_SECRET: server.secret,
        EVENTSTORE_URL: `esdb://127.0.0.1:${logPort}?tls=false`,
        DATABASE_URL: `postgres://parley:${password}@127.0.0.1:${postgres}/parley`,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const made = new IdleGateway(child, dataDir);
    for (const deadline = performance.now() + START_TIMEOUT_MS; !(await isReady(port));) {
      if (child.exitCode !== null || performance.now() > deadline) {
        await made.stop();
        throw new Error('the second gateway does not start');
      }
      await sleep(50);
    }
    return made;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await exited;
    }
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/health/ready`)).ok;
  } catch {
    return false;
  }
}
