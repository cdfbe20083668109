import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endOrphan } from '../../../embedded/postgres/orphan';
import { FaultProxy } from '../../support/fault-proxy';
import { freePort } from '../../support/server-process';
import { PostgresServer } from './postgres-server';
import { Program, type Environment } from './program';

/** `single`: one process on embedded stores, as `npm start` is. `cluster`: every part a process of its own. */
export type Topology = 'single' | 'cluster';

export interface WorldOptions {
  readonly topology: Topology;
  /** Folder of the compiled program. */
  readonly build: string;
  readonly random: () => number;
  /** Of a cluster; default 2, of which one stands by. */
  readonly projectors?: number;
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
}

const NODE_UP = 'Parley is up';
const STORE_UP = 'event store ';

/** Everything that runs, as processes on this machine, with a line that can fail between any two. */
export class World {
  readonly gateways: Node[] = [];
  readonly projectors: Node[] = [];
  eventStore: Program | undefined;
  postgres: PostgresServer | undefined;
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
    return [...this.gateways, ...this.projectors];
  }

  get doors(): readonly FaultProxy[] {
    return this.gateways.flatMap(({ door }) => (door === undefined ? [] : [door]));
  }

  /** All lines that lead to the event store, or to Postgres. */
  linesTo(store: 'eventStore' | 'postgres'): readonly FaultProxy[] {
    return this.nodes.flatMap(({ toEventStore, toPostgres }) => {
      const line = store === 'eventStore' ? toEventStore : toPostgres;
      return line === undefined ? [] : [line];
    });
  }

  /** Where devices connect to; undefined without that gateway. */
  urlOf(gateway: number): string {
    return `http://127.0.0.1:${this.gateways[gateway]?.door?.port ?? 0}`;
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
    for (const proxy of this.proxies) await proxy.close();
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
    const secret = randomBytes(32).toString('hex');
    const projectors = Array.from({ length: this.options.projectors ?? 2 }, (_, n) => `projector-${n + 1}`);
    for (const name of ['gateway-1', 'gateway-2', ...projectors]) {
      const isGateway = name.startsWith('gateway');
      const toEventStore = await this.proxy(port);
      const toPostgres = await this.proxy(this.postgres.port);
      const environment = {
        ROLES: isGateway ? 'gateway' : 'projector',
        JWT_SECRET: secret,
        EVENTSTORE_URL: `esdb://127.0.0.1:${toEventStore.port}?tls=false`,
        DATABASE_URL: this.postgres.urlAt(toPostgres.port),
      };
      const lines = { hasDoor: isGateway, toEventStore, toPostgres };
      (isGateway ? this.gateways : this.projectors).push(await this.node(name, environment, lines));
    }
    await this.startAll();
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
    };
  }

  private async proxy(port: number): Promise<FaultProxy> {
    const proxy = await FaultProxy.open({ host: '127.0.0.1', port }, this.options.random);
    this.proxies.push(proxy);
    return proxy;
  }
}
