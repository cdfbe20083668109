import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../load/server';
import type { XmppPeer } from './xmpp';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 200;
const PROGRAM = '/usr/sbin/ejabberdctl';

/** ejabberd as Debian installs it, with its archive on PostgreSQL, on ports and data of its own. */
export class Ejabberd implements XmppPeer {
  readonly host = 'localhost';

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly child: ChildProcess,
  ) {}

  /** @throws Error when it is not installed, or does not start within a minute */
  static async start(): Promise<Ejabberd> {
    if (!existsSync(PROGRAM))
      throw new Error('ejabberd is not installed: apt-get install ejabberd erlang-p1-pgsql');
    const folder = await mkdtemp(join(tmpdir(), 'parley-ejabberd-'));
    const port = await freePort();
    const child = fork(join(__dirname, 'ejabberd-host.js'), [folder, String(port)]);
    const peer = new Ejabberd(port, folder, child);
    await once(child, 'message');
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await peer.answers())) {
      if (Date.now() > deadline) {
        await peer.stop();
        throw new Error('ejabberd was not ready within a minute');
      }
      await sleep(POLL_MS);
    }
    return peer;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('ejabberd was not started');
    return this.child.pid;
  }

  async accounts(count: number): Promise<readonly string[]> {
    const run = randomBytes(4).toString('hex');
    const names = Array.from({ length: count }, (_, n) => `bench-${run}-${n}`);
    const made = once(this.child, 'message');
    this.child.send(names);
    await made;
    return names;
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
    await rm(this.folder, { recursive: true, force: true });
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.port, host: '127.0.0.1' });
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
  }
}
