import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

const SYNC_BYTES = 4_096;
const SYNC_MEASURE_MS = 500;

/** What the numbers of a report were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  /** Of 4 KB at the place where the data folders are. */
  readonly fdatasyncPerSecond: number;
  /** Of the last minute, before the benchmark: what else was going on. */
  readonly load: number;
  readonly at: string;
}

function fdatasyncRate(): number {
  const path = join(tmpdir(), `parley-fsync-${process.pid}`);
  const file = openSync(path, 'w');
  const block = Buffer.alloc(SYNC_BYTES, 1);
  const startedAt = performance.now();
  let count = 0;
  while (performance.now() - startedAt < SYNC_MEASURE_MS) {
    writeSync(file, block, 0, SYNC_BYTES, (count % 256) * SYNC_BYTES);
    fdatasyncSync(file);
    count++;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  closeSync(file);
  unlinkSync(path);
  return Math.round(count / seconds);
}

function commit(): string {
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : 'unknown';
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commit(),
    fdatasyncPerSecond: fdatasyncRate(),
    load: Number(loadavg()[0]?.toFixed(2) ?? 0),
    at: new Date().toISOString(),
  };
}
