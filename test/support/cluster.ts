import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Balancer } from './balancer';
import { EventStoreProcess } from './event-store-process';
import { createTestDatabase, type TestDatabase } from './postgres';
import { RedisServer } from './redis-server';
import { buildServer, freePort, ServerProcess } from './server-process';

const SECRET = 'one key for all nodes, thirty-two bytes at least';

/** Several nodes as processes on one event store, one PostgreSQL and one Redis, behind a balancer. */
export class Cluster {
  readonly nodes = new Set<ServerProcess>();

  private constructor(
    private readonly build: string,
    private readonly folder: string,
    readonly eventStore: EventStoreProcess,
    readonly database: TestDatabase,
    readonly redis: RedisServer,
    readonly balancer: Balancer,
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Cluster> {
    const [build, folder, eventStore, database, redis, balancer] = await Promise.all([
      buildServer(),
      mkdtemp(join(tmpdir(), 'parley-cluster-')),
      EventStoreProcess.start(),
      createTestDatabase(),
      RedisServer.start(),
      Balancer.start(),
    ]);
    return new Cluster(build, folder, eventStore, database, redis, balancer, settings);
  }

  get environment(): Readonly<Record<string, string>> {
    return {
      DATA_DIR: join(this.folder, 'data'),
      EVENTSTORE_URL: this.eventStore.url,
      DATABASE_URL: this.database.url,
      REDIS_URL: this.redis.url,
      JWT_SECRET: SECRET,
      HOST: '127.0.0.1',
      LOG_LEVEL: 'warn',
      ...this.settings,
    };
  }

  /** A program of the build, beside the nodes. */
  program(...path: string[]): string {
    return join(this.build, ...path);
  }

  /**
   * Resolves when the node is ready. A gateway is behind the balancer from then on.
   * @param own settings of this node alone; with PORT, where it listens
   */
  async node(roles: string, own: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
    const port = own['PORT'] === undefined ? await freePort() : Number(own['PORT']);
    const environment = { ...this.environment, ...own, PORT: String(port), ROLES: roles };
    const node = new ServerProcess(this.program('src', 'main.js'), environment);
    this.nodes.add(node);
    await node.ready();
    if (roles.includes('gateway')) this.balancer.add(port);
    return node;
  }

  /** Kills a node without a word, and waits until it is dead. */
  async kill(node: ServerProcess): Promise<void> {
    this.balancer.remove(portOf(node));
    node.signal('SIGKILL');
    await node.exit();
    this.nodes.delete(node);
  }

  /** Lets a node drain. @returns its exit code */
  async drain(node: ServerProcess): Promise<number | NodeJS.Signals> {
    this.balancer.retire(portOf(node));
    node.signal('SIGTERM');
    const code = await node.exit();
    this.balancer.remove(portOf(node));
    this.nodes.delete(node);
    return code;
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) {
      // One that is stopped would not even die of SIGTERM.
      node.signal('SIGCONT');
      await node.destroy();
    }
    await this.balancer.stop();
    await this.redis.stop();
    await this.eventStore.destroy();
    await this.database.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export const portOf = (node: ServerProcess): number => Number(new URL(node.url).port);
