import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { endOrphan } from '../../../embedded/postgres/orphan';
import { Balancer } from '../../support/balancer';
import { FaultProxy } from '../../support/fault-proxy';
import { RedisServer } from '../../support/redis-server';
import { freePort } from '../../support/server-process';
import { PostgresServer } from './postgres-server';
import { Program, type Environment } from './program';

/**
 * `single`: one process on embedded stores, as `npm start` is. `cluster`: every part a process of its own. `fleet`:
 * the same with a third gateway, a third projector that is a worker, too, Redis, and one balancer before all.
 */
export type Topology = 'single' | 'cluster' | 'fleet';

export interface WorldOptions {
  readonly topology: Topology;
  /** Folder of the compiled program. */
  readonly build: string;
  readonly random: () => number;
  /** Of a cluster; default 2, of which one stands by. */
  readonly projectors?: number;
  /** Of a fleet; default 0. */
  readonly relays?: number;
  /** Settings beside the usual ones, for the nodes. */
  readonly environment?: Environment;
  /** Words before `node`, for the nodes. */
  readonly wrapper?: readonly string[];
}

/** A node with the lines that lead to it and from it. */
export interface Node {
  readonly program: Program;
  /** Between devices and the node; a projector has none. */
  readonly door: FaultProxy | undefined;
  /** Between the node and its stores; embedded ones have no line. */
  readonly toEventStore: FaultProxy | undefined;
  readonly toPostgres: FaultProxy | undefined;
  /** Of a gateway or a relay in a fleet. */
  readonly toRedis: FaultProxy | undefined;
}

const run = promisify(execFile);
const NODE_UP = 'Parley is up';
const STORE_UP = 'event store ';

/** Everything that runs, as processes on this machine, with a line that can fail between any two. */
export class World {
  readonly gateways: Node[] = [];
  readonly projectors: Node[] = [];
  readonly relays: Node[] = [];
  eventStore: Program | undefined;
  postgres: PostgresServer | undefined;
  redis: RedisServer | undefined;
  private balancer: Balancer | undefined;
  /** Straight to the event store, past all lines: for the judge. */
  logUrl = '';
  private readonly proxies: FaultProxy[] = [];

  private constructor(
    private readonly options: WorldOptions,
    private readonly folder: string,
  ) {}

  /** Resolves when everything is up. @throws Error with what a part printed; nothing is left behind then */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options, await mkdtemp(join(tmpdir(), 'parley-chaos-')));
    try {
      await (options.topology === 'single' ? world.openSingle() : world.openCluster());
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get nodes(): readonly Node[] {
    return [...this.gateways, ...this.projectors, ...this.relays];
  }

  get doors(): readonly FaultProxy[] {
    return this.gateways.flatMap(({ door }) => (door === undefined ? [] : [door]));
  }

  /** All lines that lead to one store. */
  linesTo(store: 'eventStore' | 'postgres' | 'redis'): readonly FaultProxy[] {
    return this.nodes.flatMap(({ toEventStore, toPostgres, toRedis }) => {
      const line = { eventStore: toEventStore, postgres: toPostgres, redis: toRedis }[store];
      return line === undefined ? [] : [line];
    });
  }

  /** Where devices connect to: the balancer, or each gateway's own door. */
  get urls(): readonly string[] {
    return this.balancer === undefined
      ? this.doors.map(({ port }) => `http://127.0.0.1:${port}`)
      : [this.balancer.url];
  }

  /** Asked past all lines. */
  async query<Row extends object>(sql: string): Promise<Row[]> {
    const { postgres } = this;
    if (postgres === undefined) throw new Error('Postgres is not a process of its own here');
    const client = new Client({ connectionString: postgres.urlAt(postgres.port) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** `npm run verify`: folds the log and compares it with the read models. @throws Error with what it printed */
  async verify(): Promise<void> {
    const { postgres } = this;
    if (postgres === undefined) return;
    const script = join(this.options.build, 'tools', 'verify', 'main.js');
    const env = {
      PATH: process.env['PATH'] ?? '',
      DATA_DIR: join(this.folder, 'verify'),
      EVENTSTORE_URL: this.logUrl,
      DATABASE_URL: postgres.urlAt(postgres.port),
    };
    await run(process.execPath, [script], { env }).catch((error: unknown) => {
      // The differences are what it prints; the error by itself only says that there are some.
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      throw new Error(`verify: ${stdout}${stderr}`, { cause: error });
    });
  }

  /** The wall clocks of all nodes. */
  async setClock(offsetMs: number): Promise<void> {
    await writeFile(this.clockFile, String(offsetMs));
  }

  /** Every fault ends: lines are well, and what was killed runs again. */
  async heal(): Promise<void> {
    await this.setClock(0);
    for (const proxy of this.proxies) {
      proxy.heal();
      proxy.cut();
    }
    for (const { program } of this.nodes) program.signal('SIGCONT');
    this.eventStore?.signal('SIGCONT');
    await this.postgres?.signal('SIGCONT');
    this.redis?.signal('SIGCONT');
    if (this.redis?.isRunning === false) await this.redis.run();
    if (this.eventStore?.isRunning === false) await this.eventStore.start();
    if (this.postgres?.isRunning === false) await this.postgres.start();
    for (const { program } of this.nodes) if (!program.isRunning) await program.start();
  }

  async close(): Promise<void> {
    for (const { program } of this.nodes) await program.kill();
    await this.eventStore?.kill();
    await this.postgres?.close();
    if (this.options.topology === 'single') {
      await endOrphan(join(this.folder, 'node-1', 'postgres', 'cluster'), () => undefined);
    }
    await this.balancer?.stop();
    for (const proxy of this.proxies) await proxy.close();
    await this.redis?.stop();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private get clockFile(): string {
    return join(this.folder, 'clock');
  }

  private async openSingle(): Promise<void> {
    const door = await freePort();
    this.logUrl = `esdb://127.0.0.1:${door}?tls=false`;
    const environment = { EVENTSTORE_GRPC_PORT: String(door) };
    this.gateways.push(await this.node('node-1', environment, { hasDoor: true }));
    await this.startAll();
  }

  private async openCluster(): Promise<void> {
    const port = await freePort();
    this.logUrl = `esdb://127.0.0.1:${port}?tls=false`;
    this.eventStore = new Program({
      name: 'event store',
      script: join(this.options.build, 'tools', 'eventstore', 'main.js'),
      environment: { DATA_DIR: join(this.folder, 'event-store'), EVENTSTORE_GRPC_PORT: String(port) },
      announces: STORE_UP,
    });
    await this.eventStore.start();
    this.postgres = await PostgresServer.open(join(this.folder, 'postgres'));
    const isFleet = this.options.topology === 'fleet';
    if (isFleet) this.redis = await RedisServer.start();
    const secret = randomBytes(32).toString('hex');
    for (const [name, roles] of this.namesAndRoles(isFleet)) {
      const isGateway = roles === 'gateway';
      const isRelay = roles === 'relay';
      const toEventStore = await this.proxy(port);
      const toPostgres = await this.proxy(this.postgres.port);
      const isAmong = (isGateway || isRelay) && this.redis !== undefined;
      const toRedis = isAmong ? await this.proxy(this.redis?.port ?? 0) : undefined;
      const environment = {
        ROLES: roles,
        JWT_SECRET: secret,
        EVENTSTORE_URL: `esdb://127.0.0.1:${toEventStore.port}?tls=false`,
        DATABASE_URL: this.postgres.urlAt(toPostgres.port),
        ...(isRelay ? { RELAY_ABOVE_EVENTS_PER_SECOND: '1' } : {}),
        ...(toRedis === undefined ? {} : { REDIS_URL: `redis://127.0.0.1:${toRedis.port}` }),
      };
      const lines = { hasDoor: isGateway, toEventStore, toPostgres, toRedis };
      const kind = isGateway ? this.gateways : isRelay ? this.relays : this.projectors;
      kind.push(await this.node(name, environment, lines));
    }
    await this.startAll();
    if (!isFleet) return;
    this.balancer = await Balancer.start(this.options.random);
    for (const { port: door } of this.doors) this.balancer.add(door);
  }

  private namesAndRoles(isFleet: boolean): readonly (readonly [string, string])[] {
    const named = (role: string, count: number): string[] =>
      Array.from({ length: count }, (_, n) => `${role}-${n + 1}`);
    const projectors = named('projector', this.options.projectors ?? (isFleet ? 3 : 2));
    return [
      ...named('gateway', isFleet ? 3 : 2).map((name) => [name, 'gateway'] as const),
      ...projectors.map((name) => [name, isFleet ? 'projector,worker' : 'projector'] as const),
      ...named('relay', this.options.relays ?? 0).map((name) => [name, 'relay'] as const),
    ];
  }

  /** One after the other: the first one migrates. */
  private async startAll(): Promise<void> {
    for (const { program } of this.nodes) await program.start();
  }

  private async node(
    name: string,
    environment: Environment,
    lines: {
      readonly hasDoor: boolean;
      readonly toEventStore?: FaultProxy;
      readonly toPostgres?: FaultProxy;
      readonly toRedis?: FaultProxy | undefined;
    },
  ): Promise<Node> {
    const port = await freePort();
    const program = new Program({
      name,
      script: join(this.options.build, 'src', 'main.js'),
      environment: {
        DATA_DIR: join(this.folder, name),
        HOST: '127.0.0.1',
        PORT: String(port),
        RATE_LIMITS: 'off',
        LOG_LEVEL: 'warn',
        ACCESS_TOKEN_TTL_SECONDS: '86400',
        NODE_OPTIONS: `--require ${join(process.cwd(), 'test', 'chaos', 'world', 'jumping-clock.cjs')}`,
        CHAOS_CLOCK_FILE: this.clockFile,
        ...environment,
        ...this.options.environment,
      },
      announces: NODE_UP,
      ...(this.options.wrapper === undefined ? {} : { wrapper: this.options.wrapper }),
    });
    return {
      program,
      door: lines.hasDoor ? await this.proxy(port) : undefined,
      toEventStore: lines.toEventStore,
      toPostgres: lines.toPostgres,
      toRedis: lines.toRedis,
    };
  }

  private async proxy(port: number): Promise<FaultProxy> {
    const proxy = await FaultProxy.open({ host: '127.0.0.1', port }, this.options.random);
    this.proxies.push(proxy);
    return proxy;
  }
}
