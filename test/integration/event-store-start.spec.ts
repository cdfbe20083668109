import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { newEvents } from '../support/engine-events';
import { metaRow, putRows } from '../support/lmdb-store';
import { FULL_DISK_WRAPPER, withProgram } from '../support/room';
import { exitOf, startTypeScript } from '../support/typescript-child';

const ROOT = join(__dirname, '..', '..');
const PROGRAMS = {
  'npm start': join(ROOT, 'src', 'main.ts'),
  'npm run eventstore': join(ROOT, 'tools', 'eventstore', 'main.ts'),
};
const EXIT_DATA = 65;
const EXIT_IO = 74;

describe('a start on an event store that cannot be used', () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-start-'));
    path = join(folder, 'events');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** How it ends, and what it says on the way. Postgres is never asked: the log comes first. */
  const startOf = async (program: string, wrapper: readonly string[] = []) => {
    const environment = {
      DATA_DIR: folder,
      EVENTSTORE_URL: '',
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x',
    };
    const child = startTypeScript(program, [], { pipe: true, pipeErrors: true, environment, wrapper });
    let errors = '';
    child.stdout?.resume();
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
    return { code: await exitOf(child), errors };
  };
  const fill = async (): Promise<void> => {
    const store = await EmbeddedEventStore.open({ path });
    for (let n = 0; n < 20; n++) await store.append('stream', newEvents(10), 'any');
    await store.close();
  };
  const isNoTrace = expect.not.stringMatching(/\n {4}at |EngineError/) as string;

  it.each(Object.entries(PROGRAMS))('says what is damaged, and what to do: %s', async (_, program) => {
    await fill();
    await truncate(join(path, 'data.mdb'), 5 * 4_096);
    const before = await readFile(join(path, 'data.mdb'));
    const { code, errors } = await startOf(program);
    expect(errors).toMatch(/event store's file .* is damaged: it was cut short/);
    expect(errors).toContain('put a backup in its place');
    expect(errors).toEqual(isNoTrace);
    expect(code).toBe(EXIT_DATA);
    expect(await readFile(join(path, 'data.mdb'))).toEqual(before);
  });

  it('says that a later version wrote it', async () => {
    const program = PROGRAMS['npm run eventstore'];
    await fill();
    await putRows(path, { meta: [metaRow('format', '1000')] });
    const { code, errors } = await startOf(program);
    expect(errors).toContain('the event store has format 1000, this program knows up to');
    expect(errors).toContain('Start the version of this program that wrote it, or a later one.');
    expect(errors).toEqual(isNoTrace);
    expect(code).toBe(EXIT_DATA);
    await putRows(path, { meta: [metaRow('format', '2')] });
    const store = await EmbeddedEventStore.open({ path });
    expect(store.head).toBe(199);
    await store.close();
  });

  withProgram('prlimit', __filename)('says that there is no room', async () => {
    const program = PROGRAMS['npm run eventstore'];
    const { code, errors } = await startOf(program, [
      ...FULL_DISK_WRAPPER,
      'prlimit',
      '--fsize=1000:unlimited',
    ]);
    expect(errors).toMatch(/the disk takes no more: .*Make room/);
    expect(errors).toEqual(isNoTrace);
    expect(code).toBe(EXIT_IO);
    const store = await EmbeddedEventStore.open({ path });
    expect(await store.append('stream', newEvents(1), 'noStream')).toMatchObject({ kind: 'appended' });
    await store.close();
  });
});
