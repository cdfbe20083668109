import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireInstanceLock, InstanceRunning } from '../../embedded/instance-lock';
import { exitOf, startTypeScript } from '../support/typescript-child';

interface Answer {
  readonly outcome: 'ready' | 'held' | 'refused';
  readonly pid?: number;
  readonly message?: string;
}

describe('acquireInstanceLock', () => {
  let dataDir: string;
  const children: ChildProcess[] = [];

  const answerOf = async (child: ChildProcess): Promise<Answer> => {
    const [answer] = (await once(child, 'message')) as [Answer];
    return answer;
  };
  const starter = async (): Promise<ChildProcess> => {
    const child = startTypeScript(require.resolve('../support/hold-instance-lock'));
    children.push(child);
    expect((await answerOf(child)).outcome).toBe('ready');
    return child;
  };
  const tryWith = async (child: ChildProcess): Promise<Answer> => {
    const answer = answerOf(child);
    child.send(dataDir);
    return answer;
  };
  const kill = async (child: ChildProcess): Promise<void> => {
    child.kill('SIGKILL');
    await exitOf(child);
  };

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'parley-lock-'));
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
    await rm(dataDir, { recursive: true, force: true });
  });

  it('refuses a second process and names the folder and the first', async () => {
    const [first, second] = await Promise.all([starter(), starter()]);
    expect((await tryWith(first)).outcome).toBe('held');
    const answer = await tryWith(second);
    expect(answer).toMatchObject({ outcome: 'refused', pid: first.pid });
    expect(answer.message).toContain(dataDir);
    expect(answer.message).toContain(`pid ${String(first.pid)}`);
  });

  it('refuses a second holder in the same process, until released', async () => {
    const lock = await acquireInstanceLock(dataDir);
    await expect(acquireInstanceLock(dataDir)).rejects.toThrow(InstanceRunning);
    await lock.release();
    await lock.release();
    const again = await acquireInstanceLock(dataDir);
    await again.release();
  });

  it('is free at once after kill -9, again and again, and leaves no heap of files', async () => {
    for (let round = 0; round < 5; round++) {
      const child = await starter();
      expect((await tryWith(child)).outcome).toBe('held');
      await kill(child);
    }
    expect((await readdir(dataDir)).length).toBeLessThanOrEqual(3);
  });

  it('is held while its holder is stopped and cannot answer', async () => {
    const [first, second] = await Promise.all([starter(), starter()]);
    expect((await tryWith(first)).outcome).toBe('held');
    first.kill('SIGSTOP');
    expect(await tryWith(second)).toMatchObject({ outcome: 'refused', pid: first.pid });
  });

  it('is won by exactly one of 20 that start at once, also over a dead holder', async () => {
    const starters = await Promise.all(Array.from({ length: 20 }, starter));
    for (let round = 0; starters.length >= 16; round++) {
      const answers = await Promise.all(starters.map(tryWith));
      const winners = starters.filter((_, index) => answers[index]?.outcome === 'held');
      expect(winners).toHaveLength(1);
      const winner = winners[0] as ChildProcess;
      await kill(winner);
      starters.splice(starters.indexOf(winner), 1);
    }
  });

  it('works below a path that is too long for a socket', async () => {
    const long = join(dataDir, 'd'.repeat(120));
    await mkdir(long);
    const lock = await acquireInstanceLock(long);
    await expect(acquireInstanceLock(long)).rejects.toThrow(InstanceRunning);
    await lock.release();
  });
});
