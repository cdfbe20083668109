import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readText } from './deployment';
import { eventually } from './sdk-device';
import { freePort } from './server-process';

const PROGRAM = process.env['NGINX'] ?? 'nginx';
const isInstalled = spawnSync(PROGRAM, ['-v']).error === undefined;

/** A suite that needs an nginx. In CI one that is missing is an error; elsewhere it is named loudly. */
export function describeWithNginx(name: string, suite: () => void): void {
  if (isInstalled || (process.env['CI'] ?? '') !== '') {
    describe(name, suite);
    return;
  }
  process.stderr.write(`\nNOT RUN: ${name}; there is no nginx on the PATH (or at $NGINX).\n`);
  describe.skip(name, suite);
}

/** The nginx of the compose file with its own configuration, but for the addresses. */
export class NginxServer {
  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  /** @param gateways ports on the loopback, in the order of the compose file's upstream */
  static async start(gateways: readonly number[]): Promise<NginxServer> {
    const folder = await mkdtemp(join(tmpdir(), 'parley-nginx-'));
    await mkdir(join(folder, 'logs'));
    const port = await freePort();
    let text = readText('deploy', 'nginx', 'nginx.conf')
      .replaceAll(' /tmp/', ` ${folder}/`)
      .replaceAll('/dev/stderr', join(folder, 'error.log'))
      .replaceAll('/dev/stdout', join(folder, 'access.log'))
      .replace('listen 8080', `listen 127.0.0.1:${port}`)
      .replace('listen 8081', `listen 127.0.0.1:${await freePort()}`);
    for (const [n, gateway] of gateways.entries()) {
      text = text.replace(`gateway-${n + 1}:3000`, `127.0.0.1:${gateway}`);
    }
    const file = join(folder, 'nginx.conf');
    await writeFile(file, text);
    const child = spawn(PROGRAM, ['-p', folder, '-c', file, '-g', 'daemon off;'], { stdio: 'ignore' });
    const server = new NginxServer(folder, child, port);
    await eventually('nginx', () => server.answers());
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      await once(this.child, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private async answers(): Promise<boolean> {
    if (this.child.exitCode !== null) throw new Error(`nginx ended with ${this.child.exitCode}`);
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }
}
