import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ProjectorLog, ProjectorOptions } from '../../projections/runner/projector';
import { assertNever } from '../kernel/assert-never';
import type { DatabaseMetrics } from '../infrastructure/postgres/database';
import { DescribedError } from '../observability/describe-error';
import type { FromThread, ThreadStart, ToThread } from './messages';

/** The projector's own: it must go on while requests hold all of theirs. */
export const PROJECTOR_CONNECTIONS_MAX = 4;
/** The thread is told at most so often that the log has grown: it gathers for longer than that anyway. */
const GROWTH_INTERVAL_MS = 5;
/** A thread that ended by itself is started again after this time. */
const RESTART_MS = 1_000;

/** Calls back whenever the embedded log has grown; returns what ends it. */
export type OnGrowth = (listener: (head: number) => void) => () => void;

export interface ProjectorThreadOptions {
  readonly start: ThreadStart;
  /** Of the embedded log, with its head as it is now; undefined for a log that the thread follows by itself. */
  readonly growth: { readonly head: number; readonly on: OnGrowth } | undefined;
  readonly log: ProjectorLog;
  readonly metrics: DatabaseMetrics;
  readonly onProgress: NonNullable<ProjectorOptions['onProgress']>;
  readonly onPoison: NonNullable<ProjectorOptions['onPoison']>;
  /** Makes the thread; default: from the compiled file beside this one. */
  readonly spawn?: (start: ThreadStart) => Worker;
}

const spawnCompiled = (start: ThreadStart): Worker =>
  new Worker(join(__dirname, 'entry.js'), { workerData: start });

/**
 * The projector of this process, on a thread of its own (docs/adr/0027): reading events, turning them into rows and
 * talking to Postgres then takes nothing from the event loop that devices wait for.
 */
export class ProjectorThread {
  private worker: Worker | undefined;
  private head: number;
  private toldHead = -1;
  private readonly endGrowth: () => void;
  private growthTimer: NodeJS.Timeout | undefined;
  private restartTimer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(private readonly options: ProjectorThreadOptions) {
    const { growth } = options;
    this.head = growth?.head ?? -1;
    this.endGrowth =
      growth?.on((head) => {
        this.head = head;
        this.tellHeadNowAndThen();
      }) ?? nothing;
    this.spawn();
  }

  /** Ends after the batch in hand, if any. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.endGrowth();
    clearTimeout(this.growthTimer);
    clearTimeout(this.restartTimer);
    const { worker } = this;
    if (worker === undefined) return;
    const exited = once(worker, 'exit');
    this.tell({ kind: 'stop' });
    await exited;
  }

  private spawn(): void {
    const { start, spawn = spawnCompiled } = this.options;
    const worker = spawn(start);
    this.worker = worker;
    worker.on('message', (message: FromThread) => {
      this.hear(message);
    });
    worker.on('error', (error) => {
      this.options.log.error({ error }, 'the projector thread failed');
    });
    worker.once('exit', (code) => {
      this.worker = undefined;
      if (this.stopping) return;
      this.options.log.error({ code }, 'the projector thread ended; starting it again');
      this.restartTimer = setTimeout(() => {
        this.spawn();
      }, RESTART_MS);
    });
    this.toldHead = -1;
    this.tellHead();
  }

  /** At once after a pause, then once an interval. */
  private tellHeadNowAndThen(): void {
    if (this.growthTimer !== undefined || this.head === this.toldHead) return;
    this.tellHead();
    this.growthTimer = setTimeout(() => {
      this.growthTimer = undefined;
      this.tellHeadNowAndThen();
    }, GROWTH_INTERVAL_MS);
  }

  private tellHead(): void {
    if (this.head === this.toldHead) return;
    this.toldHead = this.head;
    this.tell({ kind: 'grown', position: this.head });
  }

  private tell(message: ToThread): void {
    this.worker?.postMessage(message);
  }

  private hear(message: FromThread): void {
    const { log, metrics, onProgress, onPoison } = this.options;
    switch (message.kind) {
      case 'progress':
        onProgress(message.progress);
        break;
      case 'poison':
        onPoison(message.event, new DescribedError(message.error));
        break;
      case 'log':
        log[message.level](fieldsOf(message), message.message);
        break;
      case 'measured':
        metrics.postgresMs.observe(message.labels, message.ms);
        break;
      case 'storeFailure':
        metrics.storeFailures.inc({ store: 'postgres' });
        break;
      default:
        assertNever(message);
    }
  }
}

const fieldsOf = ({ fields, error }: Extract<FromThread, { kind: 'log' }>): object =>
  error === undefined ? fields : { ...fields, error: new DescribedError(error) };
const nothing = (): void => undefined;
