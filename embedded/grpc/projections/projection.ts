import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { uuidv5 } from '../../../src/kernel/uuid';
import { EngineError } from '../../engine/errors';
import type { EmbeddedEventStore } from '../../engine/event-store';
import type { EngineEvent, RecordedEvent } from '../../engine/record';
import {
  ProjectionFault,
  projectionCheckpointStreamOf,
  type Definition,
  type Handler,
  type Output,
} from './definition';
import { scriptHandler } from './script';
import { standardHandler } from './standard';

/** Read, and written for, at a time. */
const PAGE_EVENTS_MAX = 128;
/** How long one that has caught up lets new events gather. */
const GATHER_MS = 400;
/** Positions after which what was done is remembered, and bytes that may be to remember. */
const CHECKPOINT_EVERY = 1_000;
const STATES_BYTES_MAX = 900_000;
/** Of one append: more outputs for one stream are appended in turn. */
const OUTPUT_BYTES_MAX = 900_000;
/** Looked through backwards for the last event that a projection wrote before it was stopped. */
const TAIL_EVENTS_MAX = 4_096;
const KEPT_CHECKPOINTS = 2;
const CHECKPOINT_TYPE = '$ProjectionCheckpoint';
/** Names of outputs; any UUID would do, but for ever the same. */
const OUTPUT_IDS = '6b7f1e0a-52f4-5c1d-9a51-0c0e5a2f3b11';

export type ProjectionStatus = 'Running' | 'Stopped' | 'Faulted';

/** The name, epoch and place of the source that an output says it comes from. */
interface Origin {
  readonly $projection: string;
  readonly $epoch: number;
  readonly $p: number;
}

/** What a stream got last from the projection; `passed` when the outputs up to it have been seen again. */
interface LastOutput {
  readonly position: number;
  readonly id: string;
  passed: boolean;
}

/**
 * One projection that runs: reads the whole log in order and writes what each event gives, once, also when
 * the process ends between the writing and the remembering.
 */
export class Projection {
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private handler: Handler | undefined;
  private at = -1;
  private checkpointed = -1;
  private handled = 0;
  private reason = '';
  private wake: (() => void) | undefined;
  /** Events before it may have been written for already, by the run before. */
  private doubtful = -1;
  private readonly written = new Map<string, LastOutput>();
  private bounded = false;

  constructor(
    private readonly store: EmbeddedEventStore,
    readonly definition: Definition,
  ) {}

  get status(): ProjectionStatus {
    if (this.reason !== '') return 'Faulted';
    return this.stopping.signal.aborted ? 'Stopped' : 'Running';
  }

  get figures() {
    return { at: this.at, checkpoint: this.checkpointed, handled: this.handled, reason: this.reason };
  }

  async stateOf(partition: string): Promise<string | undefined> {
    return this.handler?.stateOf(partition);
  }

  async start(): Promise<void> {
    try {
      const { name, query } = this.definition;
      const known = await this.load();
      this.handler = standardHandler(name) ?? (await scriptHandler(query, known?.states));
      this.at = this.checkpointed = known?.position ?? -1;
      this.doubtful = this.store.head;
      this.running = this.run().catch((error: unknown) => {
        this.fail(error);
      });
    } catch (error) {
      this.fail(error);
    }
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake?.();
    await this.running;
    try {
      if (this.reason === '' && this.at > this.checkpointed) await this.remember();
    } catch (error) {
      // What is not remembered is done again, and written once.
      if (!(error instanceof ProjectionFault)) throw error;
    } finally {
      await this.handler?.close();
    }
  }

  private fail(error: unknown): void {
    if (this.stopping.signal.aborted || (error instanceof EngineError && error.kind === 'closed')) return;
    const known = error instanceof ProjectionFault || error instanceof EngineError;
    this.reason = known ? error.message : 'The projection failed in a way nobody foresaw.';
  }

  private async run(): Promise<void> {
    const unwatch = this.store.onGrowth(() => this.wake?.());
    try {
      while (!this.isStopping()) {
        const page = await this.store.readAll({ after: this.at, limit: PAGE_EVENTS_MAX });
        await this.write(page.events);
        this.at = page.next;
        if (this.at - this.checkpointed >= CHECKPOINT_EVERY) await this.remember();
        if (page.endOfLog) await this.growth();
        else await nextTurn();
      }
    } finally {
      unwatch();
    }
  }

  private async growth(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.isStopping() || this.store.head > this.at) resolve();
    });
    this.wake = undefined;
    // A link for each event as it comes would double the number of appends; together they are few.
    await pause(GATHER_MS, undefined, { signal: this.stopping.signal }).catch(() => undefined);
  }

  /** All outputs of some events: in order within each stream, the streams at once. */
  private async write(events: readonly RecordedEvent[]): Promise<void> {
    const byStream = new Map<string, EngineEvent[]>();
    const given = events.filter((event) => !this.isOwn(event));
    const { outputs, fault } = (await this.handler?.handle(given)) ?? { outputs: [], fault: undefined };
    this.handled += outputs.length;
    for (const { event, made } of outputs) {
      for (const [n, output] of made.entries()) {
        if (!this.definition.emitEnabled) throw new ProjectionFault('The projection may not emit.');
        const engineEvent = this.outputEvent(output, event, n);
        if (await this.isWritten(output.stream, event, engineEvent.id)) continue;
        byStream.set(output.stream, [...(byStream.get(output.stream) ?? []), engineEvent]);
      }
    }
    await Promise.all([...byStream].map(async ([stream, appended]) => this.append(stream, appended)));
    if (fault !== undefined) throw new ProjectionFault(fault);
  }

  private async append(stream: string, events: readonly EngineEvent[]): Promise<void> {
    let from = 0;
    while (from < events.length) {
      let bytes = 0;
      let end = from;
      for (; end < events.length; end++) {
        const event = events[end] as EngineEvent;
        bytes += Buffer.byteLength(event.data) + Buffer.byteLength(event.metadata);
        if (bytes > OUTPUT_BYTES_MAX && end > from) break;
      }
      const outcome = await this.store.append(stream, events.slice(from, end), 'any');
      if (outcome.kind !== 'appended')
        throw new ProjectionFault(`The stream ${stream} cannot be written to.`);
      from = end;
    }
  }

  private outputEvent(output: Output, event: RecordedEvent, n: number): EngineEvent {
    const { name, epoch } = this.definition;
    const place = { $v: `${epoch}:-1:${this.definition.version}`, $c: event.position, $p: event.position };
    const origin = { $projection: name, $epoch: epoch, $o: event.stream, $causedBy: event.id };
    const own: unknown = output.metadata === undefined ? {} : JSON.parse(output.metadata);
    const metadata = JSON.stringify({ ...(typeof own === 'object' ? own : {}), ...place, ...origin });
    const id = uuidv5(`${name}:${epoch}:${event.position}:${n}`, OUTPUT_IDS);
    return { id, type: output.type, isJson: output.isJson, data: output.data, metadata };
  }

  /**
   * Whether the run before, which did not come to remember it, wrote this output already. The store tells repetitions
   * by their ids, but only the recent ones; and of many outputs of one event the last ones may be missing.
   */
  private async isWritten(stream: string, event: RecordedEvent, id: string): Promise<boolean> {
    if (event.position > this.doubtful) return false;
    let last = this.written.get(stream);
    if (last === undefined) {
      last = await this.lastWritten(stream);
      this.written.set(stream, last);
    }
    if (event.position !== last.position) return event.position < last.position;
    if (last.passed) return false;
    last.passed = id === last.id;
    return true;
  }

  private async lastWritten(stream: string): Promise<LastOutput> {
    const none = { position: -1, id: '', passed: true };
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: TAIL_EVENTS_MAX });
    if (page.kind !== 'events') return none;
    const { name, epoch } = this.definition;
    for (const { id, metadataJson } of page.events) {
      const { $projection, $epoch, $p } = (metadataJson ?? {}) as Partial<Origin>;
      if ($projection === name && $epoch === epoch && $p !== undefined)
        return { position: $p, id, passed: false };
    }
    return none;
  }

  private async load(): Promise<{ readonly position: number; readonly states: string } | undefined> {
    const stream = projectionCheckpointStreamOf(this.definition.name);
    const page = await this.store.readStream(stream, { direction: 'backwards', limit: 1 });
    const event = page.kind === 'events' ? page.events[0] : undefined;
    const { $p, $epoch } = (event?.metadataJson ?? {}) as Partial<Origin>;
    // One of before a reset counts no more.
    if (event === undefined || $p === undefined || $epoch !== this.definition.epoch) return undefined;
    this.bounded = true;
    return { position: $p, states: event.data.toString('utf8') };
  }

  private async remember(): Promise<void> {
    const { at } = this;
    const stream = projectionCheckpointStreamOf(this.definition.name);
    const data = (await this.handler?.states()) ?? '{}';
    if (Buffer.byteLength(data) > STATES_BYTES_MAX) {
      throw new ProjectionFault(`The states have more than ${STATES_BYTES_MAX} bytes.`);
    }
    if (!this.bounded) await this.store.setStreamMetadata(stream, { $maxCount: KEPT_CHECKPOINTS }, 'any');
    this.bounded = true;
    const metadata = JSON.stringify({ $epoch: this.definition.epoch, $p: at });
    const event = { id: randomUUID(), type: CHECKPOINT_TYPE, isJson: true, data, metadata };
    await this.store.append(stream, [event], 'any');
    this.checkpointed = at;
  }

  /** A projection that wrote for what projections write would never come to an end. */
  private isOwn({ stream, metadataJson }: RecordedEvent): boolean {
    if (stream.startsWith('$')) return true;
    return (metadataJson as Partial<Origin> | null | undefined)?.$projection === this.definition.name;
  }

  private isStopping(): boolean {
    return this.stopping.signal.aborted;
  }
}
