import { spawn, type ChildProcess } from 'node:child_process';

const START_TIMEOUT_MS = 120_000;
const EXIT_TIMEOUT_MS = 60_000;
/** Of what it prints, for the report of a failure. */
const OUTPUT_CHARACTERS_MAX = 20_000;

export type Environment = Readonly<Record<string, string>>;

interface ProgramOptions {
  readonly name: string;
  readonly script: string;
  readonly environment: Environment;
  /** It prints this when it is up. */
  readonly announces: string;
  /** Words before `node`, for instance a shell that lowers a limit. */
  readonly wrapper?: readonly string[];
}

/** A process that can be killed, paused and started again, as often as one likes, always as the same program. */
export class Program {
  private child: ChildProcess | undefined;
  private output = '';

  constructor(private readonly options: ProgramOptions) {}

  get name(): string {
    return this.options.name;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  get isRunning(): boolean {
    return this.child?.exitCode === null && this.child.signalCode === null;
  }

  /** What it printed last, all its runs together. */
  get said(): string {
    return this.output;
  }

  /** Resolves when it is up. @throws Error with what it printed */
  async start(): Promise<void> {
    const { name, script, environment, announces, wrapper = [] } = this.options;
    const words = [...wrapper, process.execPath, script];
    const child = spawn(words[0] ?? '', words.slice(1), {
      // Nothing of the caller's own settings: a DATABASE_URL of theirs would be another server.
      env: { PATH: process.env['PATH'] ?? '', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    let ownOutput = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        if (ownOutput.length < OUTPUT_CHARACTERS_MAX) ownOutput += text;
        this.output = (this.output + text).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    await this.until(() => ownOutput.includes(announces) || !this.runs(child), START_TIMEOUT_MS, 'start');
    if (!this.runs(child)) throw new Error(`${name} ended while starting: ${ownOutput}`);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.child?.kill(signal);
  }

  /** Kill -9, also when it is paused. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited();
  }

  /** As an orchestrator stops it: SIGTERM, and patience. @throws Error when it does not end */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    await this.exited();
  }

  /** Stopped for a while, with everything it holds. */
  async paused(ms: number, meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.signal('SIGSTOP');
    try {
      await Promise.all([new Promise((resolve) => setTimeout(resolve, ms)), meanwhile()]);
    } finally {
      this.signal('SIGCONT');
    }
  }

  private async exited(): Promise<void> {
    await this.until(() => !this.isRunning, EXIT_TIMEOUT_MS, 'exit');
  }

  private runs(child: ChildProcess): boolean {
    return child.exitCode === null && child.signalCode === null;
  }

  private async until(holds: () => boolean, timeoutMs: number, what: string): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!holds()) {
      if (Date.now() > deadline) {
        throw new Error(`${this.name}: no ${what} within ${timeoutMs} ms: ${this.output.slice(-2_000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  }
}
