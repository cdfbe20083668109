import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './server-process';
import { exitOf, startTypeScript } from './typescript-child';

const SCRIPT = join(__dirname, '..', '..', 'tools', 'eventstore', 'main.ts');
/** What it prints when it serves, with where. */
const SERVES = /on esdb:\/\/127\.0\.0\.1:(\d+)/;

/** `npm run eventstore` as a process of its own, on a folder of its own, that can be killed and started again. */
export class EventStoreProcess {
  private child: ChildProcess | undefined;
  private output = '';
  port = 0;

  private constructor(
    readonly dataDir: string,
    private readonly wrapper: readonly string[],
  ) {}

  /** @param wrapper a program that starts the process, with its arguments */
  static async start(wrapper: readonly string[] = []): Promise<EventStoreProcess> {
    const made = new EventStoreProcess(await mkdtemp(join(tmpdir(), 'parley-eventstore-')), wrapper);
    await made.start();
    return made;
  }

  /** Connection string. */
  get url(): string {
    return `esdb://127.0.0.1:${this.port}?tls=false`;
  }

  /** On the port it had before, where there was one. @throws Error with what it printed when it does not serve */
  async start(): Promise<void> {
    this.output = '';
    if (this.port === 0) this.port = await freePort();
    const child = startTypeScript(SCRIPT, [], {
      environment: { DATA_DIR: this.dataDir, EVENTSTORE_GRPC_PORT: String(this.port) },
      pipe: true,
      wrapper: this.wrapper,
    });
    this.child = child;
    const serving = new Promise<void>((resolve) => {
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        if (SERVES.test(this.output)) resolve();
      });
    });
    const ended = exitOf(child).then((how) => {
      throw new Error(`npm run eventstore ended with ${how}: ${this.output}`);
    });
    ended.catch(() => undefined);
    await Promise.race([serving, ended]);
    this.port = Number(SERVES.exec(this.output)?.[1]);
  }

  /** @returns how it ended */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | string> {
    const { child } = this;
    if (child === undefined) return 0;
    child.kill(signal);
    return exitOf(child);
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Bytes that the process holds now. */
  async memory(): Promise<number> {
    const status = await readFile(`/proc/${this.child?.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1_024;
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  async destroy(): Promise<void> {
    await this.end('SIGKILL');
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
