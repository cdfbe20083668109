import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Person } from '../load/people';
import type { Target } from '../load/target';

/** What nothing can be faster than, with the same sockets: with a store or without. */
export type FloorKind = 'ws relay' | 'ws + Postgres';

/** A floor in a process of its own. */
export class Floor implements Target {
  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(kind: FloorKind): Promise<Floor> {
    const folder = await mkdtemp(join(tmpdir(), 'parley-floor-'));
    const child = fork(join(__dirname, 'relay.js'), [kind === 'ws relay' ? 'none' : folder]);
    const [port] = (await once(child, 'message')) as [number];
    return new Floor(port, folder, child);
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the floor was not started');
    return this.child.pid;
  }

  people(count: number): Promise<readonly Person[]> {
    const ids = Array.from({ length: count }, () => randomUUID());
    return Promise.resolve(ids.map((userId) => ({ userId, token: userId, address: '127.0.0.2' })));
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
    await rm(this.folder, { recursive: true, force: true });
  }
}
