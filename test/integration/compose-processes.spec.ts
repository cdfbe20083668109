import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { readCompose, readImage } from '../support/deployment';
import { createTestDatabase, type TestDatabase } from '../support/postgres';
import { RawDevice } from '../support/raw-device';
import { RedisServer, describeWithRedis } from '../support/redis-server';
import { registerUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import { buildServer, freePort } from '../support/server-process';

const WAIT_MS = 90_000;
const JWT_SECRET = 'the secret of a test, of at least thirty-two bytes';

/**
 * Exactly the commands and the environment that the containers of docker-compose.yml would have, as processes on
 * loopback: only host names, mounted secrets and ports are put in their place.
 */
describeWithRedis('the services of docker-compose.yml', () => {
  const compose = readCompose();
  const image = readImage();
  const ours = Object.entries(compose.services).filter(([, service]) => service.image?.startsWith('parley:'));
  const nodes = new Map<
    string,
    { child: ChildProcess; environment: Record<string, string>; output: string }
  >();
  let build: string;
  let folder: string;
  let database: TestDatabase;
  let redis: RedisServer;
  let eventStore: ChildProcess;
  let eventStorePort: number;

  const urlOf = (name: string): string => `http://127.0.0.1:${nodes.get(name)?.environment['PORT'] ?? ''}`;
  const inPlace = (part: string): string => part.replace(/^dist\//, `${build}/`);

  /** The command of the HEALTHCHECK, in the environment of the container. */
  const health = (name: string): Promise<number> =>
    new Promise((resolve) => {
      const [program = '', ...args] = image.healthcheck;
      const env = { PATH: process.env['PATH'] ?? '', ...nodes.get(name)?.environment };
      execFile(program, args, { env }, (error) => {
        resolve(error === null ? 0 : 1);
      });
    });

  async function start(name: string, given: Readonly<Record<string, string>>): Promise<void> {
    const secrets: Record<string, string> = {
      '/run/secrets/jwt_secret': JWT_SECRET,
      '/run/secrets/database_url': database.url,
      '/run/secrets/redis_url': redis.url,
    };
    const environment: Record<string, string> = { ...image.environment };
    for (const [variable, value] of Object.entries(given)) {
      const secret = secrets[value];
      if (secret === undefined) {
        environment[variable] = value.replace('//eventstore:2113', `//127.0.0.1:${eventStorePort}`);
        continue;
      }
      const file = join(folder, value.replaceAll('/', '_'));
      await writeFile(file, `${secret}\n`);
      environment[variable] = file;
    }
    // Beside each other on one machine, where containers have an address each.
    Object.assign(environment, {
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      DATA_DIR: join(folder, name),
    });
    const [program = '', ...args] = image.command.map(inPlace);
    const child = spawn(program, args, { env: { PATH: process.env['PATH'] ?? '', ...environment } });
    const node = { child, environment, output: '' };
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        node.output += chunk.toString();
      });
    }
    nodes.set(name, node);
  }

  beforeAll(async () => {
    build = await buildServer();
    folder = await mkdtemp(join(tmpdir(), 'parley-compose-'));
    database = await createTestDatabase();
    redis = await RedisServer.start();
    eventStorePort = await freePort();
    const script = join(build, 'tools', 'eventstore', 'main.js');
    const env = {
      PATH: process.env['PATH'] ?? '',
      DATA_DIR: join(folder, 'eventstore'),
      EVENTSTORE_GRPC_PORT: String(eventStorePort),
    };
    eventStore = spawn(process.execPath, [script], { env, stdio: 'ignore' });
    for (const [name, { environment = {} }] of ours) await start(name, environment);
  });
  afterAll(async () => {
    for (const child of [...[...nodes.values()].map((node) => node.child), eventStore]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await redis.stop();
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  it('are healthy, by the very command that Docker would ask them with', async () => {
    expect([...nodes.keys()]).toEqual(['gateway-1', 'gateway-2', 'projector', 'worker', 'relay']);
    await Promise.all(
      [...nodes].map(([name, node]) =>
        eventually(
          `answer of ${name}`,
          async () => {
            if (node.child.exitCode !== null) throw new Error(`${name} has ended: ${node.output}`);
            return fetch(`${urlOf(name)}/health/ready`).then(
              ({ ok }) => ok,
              () => false,
            );
          },
          WAIT_MS,
        ),
      ),
    );
    for (const name of nodes.keys()) expect([name, await health(name)]).toEqual([name, 0]);
    expect(await health('nobody')).toBe(1);
  });

  it('are one installation: who is known to one gateway talks through the other, and history follows', async () => {
    const [ann, bob] = await Promise.all([
      registerUser(urlOf('gateway-1'), 'ann'),
      registerUser(urlOf('gateway-1'), 'bob'),
    ]);
    const [a, b] = await Promise.all([
      RawDevice.signIn(urlOf('gateway-1'), ann.token),
      RawDevice.signIn(urlOf('gateway-2'), bob.token),
    ]);
    const content = { type: 'text', body: 'across' };
    const ack = await a.request('message.send', { to: bob.id, clientMessageId: randomUUID(), content });
    const push = await b.waitFor(({ event }) => event === 'message.sent', 'the push');
    expect(push.data).toMatchObject({ seq: ack.data['seq'], content });
    const path = `/api/v1/conversations/${String(ack.data['conversationId'])}/messages`;
    await eventually('the history', async () => {
      const answer = await fetch(`${urlOf('gateway-2')}${path}`, {
        headers: { authorization: `Bearer ${bob.token}` },
      });
      return answer.ok && (await answer.text()).includes('across');
    });
    await Promise.all([a.close(), b.close()]);
  });

  it('tell their metrics, each its role, wherever Prometheus asks', async () => {
    for (const [name, { environment }] of ours) {
      const text = await (await fetch(`${urlOf(name)}/metrics`)).text();
      expect(text).toContain(`parley_role{role="${environment?.['ROLES'] ?? ''}"} 1`);
    }
    const text = await (await fetch(`${urlOf('projector')}/metrics`)).text();
    expect(text).toMatch(/^parley_projection_events_total\{projection="live"\} [1-9]/m);
    expect((await fetch(`${urlOf('worker')}/api/v1/users/me`)).status).toBe(404);
  });

  it('end in good order on SIGTERM, which reaches node itself', async () => {
    for (const [name, { child }] of nodes) {
      child.kill('SIGTERM');
      const [code] = (await once(child, 'exit')) as [number | null];
      expect([name, code]).toEqual([name, 0]);
    }
  });
});
