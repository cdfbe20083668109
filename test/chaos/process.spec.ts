import { execFile, spawn } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { MessageDto } from '../../src/protocol/schemas';
import { validateServerFrame } from '../support/contract-validator';
import { freshEventStoreEnvironment } from '../support/event-store-under-test';
import { RawDevice, type Frame } from '../support/raw-device';
import { call, registerUser, type TestUser } from '../support/rest';
import { eventually } from '../support/sdk-device';
import { buildServer, freePort, isAlive, postmasterPid, ServerProcess } from '../support/server-process';
import { StubbornWriter } from '../support/stubborn-writer';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? 3);
const EXIT_CONFIGURATION = 78;
/** By each writer, before the server is killed again. */
const ACKNOWLEDGED_MIN = 40;
const run = promisify(execFile);
const tell = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** The real program on its embedded stores, as `npm start` runs it, and what the world does to programs. */
describe(`the server as a process (SEED=${SEED}, CHAOS_ROUNDS=${ROUNDS})`, () => {
  let build: string;
  let folder: string;
  let environment: Record<string, string>;
  let server: ServerProcess;
  const started: ServerProcess[] = [];

  const start = (change: Record<string, string> = {}, wrapper: readonly string[] = []): ServerProcess => {
    const made = new ServerProcess(join(build, 'src', 'main.js'), { ...environment, ...change }, wrapper);
    started.push(made);
    return made;
  };
  /** Waits for the server and says how long its users waited. */
  const startAgain = async (what: string): Promise<void> => {
    server = start();
    tell(`${what} took ${((await server.ready()) / 1_000).toFixed(1)} s`);
  };
  const get = async <T>(path: string, token: string): Promise<T> => {
    const { status, body } = await call(server.url, 'GET', `/api/v1${path}`, { token });
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  };
  const group = async (owner: TestUser, title: string, members: readonly TestUser[]): Promise<string> => {
    const memberIds = members.map(({ id }) => id);
    const body = { kind: 'group', title, memberIds };
    const answer = await call(server.url, 'POST', '/api/v1/conversations', { token: owner.token, body });
    return (answer.body as { id: string }).id;
  };
  /** `npm run verify` on the data folder, of a server that is down: folds the log and compares. */
  const verify = async (): Promise<void> => {
    const script = join(build, 'tools', 'verify', 'main.js');
    const env = { PATH: process.env['PATH'] ?? '', ...environment };
    const { stdout } = await run(process.execPath, [script], { env });
    expect(stdout).toContain(': 0 differences');
  };

  beforeAll(async () => {
    build = await buildServer();
    folder = await mkdtemp(join(tmpdir(), 'parley-process-'));
    environment = {
      DATA_DIR: join(folder, 'data'),
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      RATE_LIMITS: 'off',
      LOG_LEVEL: 'warn',
      ...freshEventStoreEnvironment(),
    };
    await startAgain('the first start');
  });
  afterAll(async () => {
    for (const process of started) await process.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  it('refuses to run twice on one data folder, and says so; the first one goes on', async () => {
    const second = start({ PORT: String(await freePort()) });
    expect(await second.exit()).toBe(1);
    expect(second.output).toContain(`already runs on the data folder ${environment['DATA_DIR']};`);
    expect(second.output).not.toContain('    at ');
    await registerUser(server.url, 'still-here');
  });

  it('has the device of the README for a client, as it stands there', async () => {
    const readme = await readFile(join(__dirname, '..', '..', 'README.md'), 'utf8');
    const device = /```ts\n(import [^`]*ParleyClient[^`]*)```/.exec(readme)?.[1] ?? '';
    const script = join(build, 'readme-device.mjs');
    const here = device.replace("'./dist/", "'./").replace(/http:\/\/127\.0\.0\.1:\d+/, server.url);
    await writeFile(script, here);
    const bob = await registerUser(server.url, 'bob');
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await eventually('the acknowledgement', () => /→ stored at \d+\n/.test(output));
      // An acknowledgement says that the message is in the log; lists follow a few milliseconds later.
      let items: readonly { id: string }[] = [];
      await eventually('the conversation in a list', async () => {
        ({ items } = await get<{ items: { id: string }[] }>('/conversations', bob.token));
        return items.length > 0;
      });
      const answer = { clientMessageId: 'an-answer', content: { type: 'text', body: 'hello, Ada' } };
      const path = `/api/v1/conversations/${items[0]?.id ?? ''}/messages`;
      await call(server.url, 'POST', path, { token: bob.token, body: answer });
      await eventually('the answer', () => output.endsWith('hello, Ada\n'));
    } finally {
      child.kill('SIGKILL');
    }
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('drains on %s, and leaves nothing behind', async (signal) => {
    const user = await registerUser(server.url, 'ann');
    const device = await RawDevice.signIn(server.url, user.token, { inspect: validateServerFrame });
    const postgres = await postmasterPid(environment['DATA_DIR'] ?? '');
    expect([postgres !== undefined, await isAlive(postgres ?? 0)]).toEqual([true, true]);
    server.signal(signal);
    const reconnect = await device.waitFor(({ event }) => event === 'reconnect', 'reconnect');
    expect(reconnect.data['afterMs']).toEqual(expect.any(Number));
    expect((await device.waitForClose()).code).toBe(1012);
    expect(await server.exit()).toBe(0);
    expect(await isAlive(postgres ?? 0)).toBe(false);
    expect(await postmasterPid(environment['DATA_DIR'] ?? '')).toBeUndefined();
    await startAgain('a later start');
    // Who was signed in still is: tokens outlive the process.
    await (await RawDevice.signIn(server.url, user.token, { inspect: validateServerFrame })).close();
  });

  it.each([
    [{ PORT: 'http' }, 'PORT must be a whole number from 0 to 65535, not "http".'],
    [
      { DATABASE_URL: 'mysql://x' },
      'DATABASE_URL must be a URL that begins with postgres:// or postgresql://',
    ],
    [{ ROLES: 'gateway,cook' }, 'ROLES must be one of gateway, projector, worker'],
    [{ JWT_SECRET: 'tooshort' }, 'JWT_SECRET must be at least 32 bytes long, not the value given.'],
  ])('does not start with %j, and says why', async (wrong, sentence) => {
    const refused = start({ ...wrong, DATA_DIR: join(folder, 'other') });
    expect(await refused.exit()).toBe(EXIT_CONFIGURATION);
    expect(refused.output).toContain(sentence);
    expect(refused.output).not.toContain('tooshort');
  });

  describe('under load', () => {
    let people: TestUser[];
    let reader: TestUser;
    let rooms: string[];
    let writers: StubbornWriter[];

    beforeEach(async () => {
      people = await Promise.all(['ann', 'bob', 'cid'].map((name) => registerUser(server.url, name)));
      reader = await registerUser(server.url, 'reader');
      const [ann, ...others] = people as [TestUser, ...TestUser[]];
      rooms = await Promise.all(['tea', 'coffee'].map((title) => group(ann, title, [...others, reader])));
      writers = people.map(
        (user, n) => new StubbornWriter(server.url, user, rooms, n === 0 ? 'random' : 'ordered'),
      );
    });
    afterEach(async () => {
      // Writers that a failed assertion left behind would try for ever.
      await server.destroy();
      for (const writer of writers) writer.giveUp();
      await startAgain('the start between two tests');
    });

    /** Everything acknowledged is where it was said to be, once; nothing else is in between. */
    const check = async (): Promise<number> => {
      const acknowledged = new Map(writers.flatMap((writer) => [...writer.acknowledged]));
      expect(writers.flatMap(({ contradictions }) => contradictions)).toEqual([]);
      let found = 0;
      for (const room of rooms) {
        const events = await pages<Frame>(room, 'events', reader.token, (last) => last.data['seq']);
        expect(events.map(({ data }) => data['seq'])).toEqual(events.map((_event, seq) => seq));
        const sent = events.filter(({ event }) => event === 'message.sent').map(({ data }) => data);
        const expected = [...acknowledged].filter(([, { conversationId }]) => conversationId === room);
        const inEvents = sent.map(({ clientMessageId, seq }) => [clientMessageId, seq]);
        expect(inEvents).toEqual(
          expected.map(([key, { seq }]): [string, number] => [key, seq]).sort(([, a], [, b]) => a - b),
        );
        expect(sent.map(({ ordinal }) => ordinal)).toEqual(sent.map((_data, n) => n + 1));
        await eventually('the read model', async () => {
          const { headSeq } = await get<{ headSeq: number }>(`/conversations/${room}`, reader.token);
          return headSeq === events.length - 1;
        });
        const history = await pages<MessageDto>(room, 'messages', reader.token, ({ seq }) => seq);
        expect(history.map(({ clientMessageId, seq }) => [clientMessageId, seq])).toEqual(inEvents);
        const { unreadCount } = await get<{ unreadCount: number }>(`/conversations/${room}`, reader.token);
        expect(unreadCount).toBe(sent.length);
        found += sent.length;
      }
      expect(found).toBe(acknowledged.size);
      return found;
    };
    const pages = async <T>(
      room: string,
      what: 'events' | 'messages',
      token: string,
      seqOf: (last: T) => unknown,
    ): Promise<T[]> => {
      const found: T[] = [];
      for (;;) {
        const last = found.at(-1);
        // `after` is exclusive; the first message of a conversation is never its first event.
        const after =
          last === undefined ? (what === 'events' ? '' : '&after=0') : `&after=${String(seqOf(last))}`;
        const page = await get<{ items: T[]; hasMore: boolean }>(
          `/conversations/${room}/${what}?limit=100${after}`,
          token,
        );
        found.push(...page.items);
        if (!page.hasMore) return found;
      }
    };

    it('loses and doubles nothing when it is killed at any moment', async () => {
      const random = randomFrom(SEED);
      for (const writer of writers) writer.start();
      for (let round = 1; round <= ROUNDS; round++) {
        const before = writers.map(({ acknowledged }) => acknowledged.size);
        // In full swing, all of them: a server that is killed before anybody writes has nothing to lose.
        await eventually('acknowledgements', () =>
          writers.every(({ acknowledged }, n) => acknowledged.size >= (before[n] ?? 0) + ACKNOWLEDGED_MIN),
        );
        await sleep(100 + random() * 900);
        const orphan = await postmasterPid(environment['DATA_DIR'] ?? '');
        server.signal('SIGKILL');
        expect(await server.exit()).toBe('SIGKILL');
        await startAgain(`the start after kill ${round}`);
        expect([orphan === undefined, await isAlive(orphan ?? 0)]).toEqual([false, false]);
      }
      await Promise.all(writers.map((writer) => writer.settle()));
      const found = await check();
      const duplicates = writers.reduce((sum, writer) => sum + writer.duplicates, 0);
      tell(`${found} messages acknowledged over ${ROUNDS} kills, ${duplicates} of them sent again`);
      expect(found).toBeGreaterThan(ROUNDS * ACKNOWLEDGED_MIN * writers.length);
      server.signal('SIGTERM');
      expect(await server.exit()).toBe(0);
      await verify();
    });

    it('goes on sending and delivering while its Postgres is killed, again and again', async () => {
      const listener = await RawDevice.signIn(server.url, reader.token, { inspect: validateServerFrame });
      writers = people.map((user) => new StubbornWriter(server.url, user, rooms));
      for (const writer of writers) writer.start();
      const answers: number[] = [];
      let received = 0;
      const history = async (): Promise<boolean> => {
        const before = listener.pushes('message.sent').length;
        const answer = await call(server.url, 'GET', `/api/v1/conversations/${rooms[0] ?? ''}/messages`, {
          token: reader.token,
        });
        answers.push(answer.status);
        if (answer.status !== 503) return answer.status === 200;
        expect(answer.headers.get('content-type')).toContain('application/problem+json');
        expect(answer.body).toMatchObject({ code: 'unavailable', retryable: true });
        await sleep(20);
        received += listener.pushes('message.sent').length - before;
        return false;
      };
      for (let kill = 1; kill <= 3; kill++) {
        await eventually('history', history, 60_000);
        const pid = await eventually('a Postgres', () => postmasterPid(environment['DATA_DIR'] ?? ''));
        process.kill(pid, 'SIGKILL');
        await eventually('history answering 503', async () => !(await history()) && answers.at(-1) === 503);
      }
      await eventually('history again', history, 60_000);
      tell(
        `${received} messages pushed while history answered 503 (${answers.filter((s) => s === 503).length} times)`,
      );
      expect(new Set(answers)).toEqual(new Set([200, 503]));
      expect(received).toBeGreaterThan(0);
      await Promise.all(writers.map((writer) => writer.settle()));
      expect(listener.closed).toBeUndefined();
      await check();
      const all = writers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
      await eventually('all pushes', () => listener.pushes('message.sent').length >= all);
      const pushed = listener.pushes('message.sent').map(({ data }) => data['clientMessageId']);
      expect(new Set(pushed).size).toBe(pushed.length);
      expect(new Set(pushed)).toEqual(
        new Set(writers.flatMap(({ acknowledged }) => [...acknowledged.keys()])),
      );
      await listener.close();
      server.signal('SIGTERM');
      expect(await server.exit()).toBe(0);
      await verify();
    });
  });

  it('runs for an ordinary user, too', async () => {
    const nobody = 65_534;
    const asNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
    const isRoot = process.getuid?.() === 0;
    const home = join(folder, 'home');
    await mkdir(home);
    if (isRoot) {
      await chmod(folder, 0o755);
      await chown(home, nobody, nobody);
      const canBecome = await run(asNobody[0] ?? '', [
        ...asNobody.slice(1),
        process.execPath,
        '--version',
        build,
      ])
        .then(() =>
          run(asNobody[0] ?? '', [...asNobody.slice(1), 'test', '-r', join(build, 'src', 'main.js')]),
        )
        .then(
          () => true,
          () => false,
        );
      if (!canBecome) {
        console.warn(
          'SKIPPED: this machine does not let a test become an ordinary user who can read the sources',
        );
        return;
      }
    }
    const theirs = start(
      { DATA_DIR: join(home, 'data'), HOME: home, PORT: String(await freePort()) },
      isRoot ? asNobody : [],
    );
    await theirs.ready();
    const user = await registerUser(theirs.url, 'ordinary');
    const device = await RawDevice.signIn(theirs.url, user.token, { inspect: validateServerFrame });
    await device.close();
    theirs.signal('SIGTERM');
    expect(await theirs.exit()).toBe(0);
    expect(await postmasterPid(join(home, 'data'))).toBeUndefined();
  });
});

/** Numbers from [0, 1), the same ones for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
