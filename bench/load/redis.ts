import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort } from './server';

const STARTED_WITHIN_MS = 10_000;
const POLL_MS = 25;

/** A Redis of our own, which keeps nothing. @throws Error when `redis-server` is not installed */
export async function startRedis(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', options, { stdio: 'ignore' });
  await once(child, 'spawn');
  for (const deadline = Date.now() + STARTED_WITHIN_MS; !(await listens(port));) {
    if (Date.now() > deadline) throw new Error('redis-server does not start');
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => {
      resolve(false);
    });
  });
}
