import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import type { AppendDemand, AppendReport } from '../support/append-on-demand';
import { FULL_DISK_WRAPPER, withProgram } from '../support/room';
import { exitOf, startTypeScript } from '../support/typescript-child';

const SCRIPT = require.resolve('../support/append-on-demand');
describe('the engine and its disk', () => {
  let path: string;
  let child: ChildProcess | undefined;

  const start = async (wrapper: readonly string[]): Promise<AppendReport> => {
    child = startTypeScript(SCRIPT, [path], { wrapper, pipe: true });
    child.stdout?.resume();
    const [report] = (await once(child, 'message')) as [AppendReport];
    return report;
  };
  const demand = async (what: AppendDemand): Promise<AppendReport> => {
    const answer = once(child as ChildProcess, 'message') as Promise<[AppendReport]>;
    child?.send(what);
    return (await answer)[0];
  };

  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'parley-disk-'));
  });

  afterEach(async () => {
    child?.kill('SIGKILL');
    if (child !== undefined) await exitOf(child);
    child = undefined;
    await rm(path, { recursive: true, force: true });
  });

  // A limit on the size of files fails writes as a full disk does, and can be lifted from outside.
  withProgram('prlimit', __filename)(
    'refuses appends while there is no room, keeps what it had, and goes on when there is',
    async () => {
      await start([...FULL_DISK_WRAPPER, 'prlimit', '--fsize=3000000:unlimited']);
      const stored = await demand({ appends: 20, bytes: 1_000 });
      expect(stored).toEqual({ appended: 20, refused: [], head: 19 });
      const refused = await demand({ appends: 50, bytes: 100_000 });
      expect(refused.appended).toBe(0);
      expect(new Set(refused.refused)).toEqual(new Set(['unwritable']));
      expect(refused.head).toBe(19);
      const small = await demand({ appends: 5, bytes: 10 });
      expect(small).toMatchObject({ appended: 5, head: 24 });
      execFileSync('prlimit', ['--pid', String(child?.pid), '--fsize=unlimited']);
      expect(await demand({ appends: 50, bytes: 100_000 })).toMatchObject({ appended: 50, head: 74 });
      child?.kill('SIGKILL');
      await exitOf(child as ChildProcess);
      const store = await EmbeddedEventStore.open({ path });
      const { events } = await store.readAll({ limit: 100 });
      expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 75 }, (_, n) => n));
      await store.close();
    },
    60_000,
  );

  // A test that kills the process cannot see a missing flush: the kernel keeps what was written.
  withProgram('strace', __filename)(
    'acknowledges only after the disk has it: pages flushed, then the page that makes them valid',
    async () => {
      const trace = join(path, 'trace');
      const calls = 'trace=write,pwrite64,pwritev,writev,fsync,fdatasync,msync,openat';
      await start(['strace', '-f', '-q', '-e', calls, '-s', '32', '-o', trace]);
      for (let n = 0; n < 5; n++) await demand({ appends: 10, bytes: 500 });
      child?.disconnect();
      await exitOf(child as ChildProcess);
      const acknowledged = checkTrace(await readFile(trace, 'utf8'));
      expect(acknowledged).toBe(50);
    },
    60_000,
  );
});

/**
 * Walks the system calls in order. After a write to the data file an acknowledgement may come only when a
 * flush has come in between and, after it, the write of a meta page to a descriptor that is opened for
 * synchronous writing, which is complete when it returns.
 */
function checkTrace(trace: string): number {
  let data: string | undefined;
  let synchronous: string | undefined;
  let [dirty, flushed, valid, acknowledged] = [false, false, true, 0];
  for (const line of completed(trace)) {
    const opened = /openat\(.*data\.mdb", ([A-Z_|]+).*\) = (\d+)/.exec(line);
    if (opened?.[1]?.includes('O_DSYNC') === true) synchronous = opened[2];
    else if (opened !== null) data = opened[2];
    const written = /\b(?:pwrite64|pwritev|write|writev)\((\d+),/.exec(line)?.[1];
    if (written !== undefined && written === data) [dirty, flushed, valid] = [true, false, false];
    if (new RegExp(`\\b(?:fdatasync|fsync)\\(${data ?? 'none'}\\)`).test(line) && dirty) flushed = true;
    if (written !== undefined && written === synchronous) {
      if (dirty && !flushed) throw new Error(`pages made valid before they were flushed: ${line}`);
      [dirty, valid] = [false, true];
    }
    if (/write\(1, "acknowledged/.test(line)) {
      if (dirty || !valid) throw new Error(`acknowledged before the disk had it: ${line}`);
      acknowledged++;
    }
  }
  if (data === undefined || synchronous === undefined) throw new Error('the trace shows no data file');
  return acknowledged;
}

/** Lines of calls in the order in which they ended; those that another thread interrupted are joined. */
function completed(trace: string): readonly string[] {
  const begun = new Map<string, string>();
  return trace.split('\n').flatMap((line) => {
    const thread = line.split(' ', 1)[0] as string;
    if (line.endsWith('<unfinished ...>')) {
      begun.set(thread, line.replace(' <unfinished ...>', ''));
      return [];
    }
    const rest = /<\.\.\. \w+ resumed>(.*)$/.exec(line)?.[1];
    return [rest === undefined ? line : `${begun.get(thread) ?? ''}${rest}`];
  });
}
