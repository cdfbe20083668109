import type { Position } from '../../kernel/position';
import { MOVED_BYTES, writeBatch, type WrittenEvent } from './batch';

/** A batch is sent when it has grown to this; one event may be larger. */
export const BATCH_BYTES_MAX = 262_144;
export const BATCH_EVENTS_MAX = 512;
/** An event that is larger for one node is left out, with the rest of its batch: the node reads the log. */
export const EVENT_BYTES_MAX = 2_097_152;
/** Batches of one node on their way to the bus; more are left out. */
export const BATCHES_UNDER_WAY_MAX = 64;
/** Events of which a node may be told in one batch that they are there; of more it is not, and reads the log. */
export const BATCH_MOVED_MAX = 20_000;

/** What all chains of a relay have in common. */
export interface RelaySide {
  readonly shard: number;
  readonly term: number;
  /** How far the relay is in its shard. */
  places(): { readonly taken: Position; readonly done: Position };
  /** Every event since the relay began, in the order of the log. */
  readonly trail: MovedTrail;
  send(node: string, payload: Buffer): Promise<void>;
  /** A batch was sent, or left out. */
  count(outcome: 'sent' | 'omitted', bytes: number): void;
}

/** The ids of the events that the relay has seen, until all nodes have been told of them. */
export class MovedTrail {
  private entries: Buffer[] = [];
  private begin = 0;

  get end(): number {
    return this.begin + this.entries.length;
  }

  push(entry: Buffer): void {
    this.entries.push(entry);
    if (this.entries.length > 2 * BATCH_MOVED_MAX) this.forget(this.end - BATCH_MOVED_MAX);
  }

  /** undefined: more than a batch may hold, or not known any more */
  since(from: number): Buffer | undefined {
    if (from < this.begin || this.end - from > BATCH_MOVED_MAX) return undefined;
    return Buffer.concat(this.entries.slice(from - this.begin), (this.end - from) * MOVED_BYTES);
  }

  private forget(to: number): void {
    this.entries = this.entries.slice(to - this.begin);
    this.begin = to;
  }
}

/**
 * One node's batches, each naming the one before it. What cannot be sent, because there is too much of it or the bus does not
 * keep up, is left out together with its number, so that the node knows that it has to read the log.
 */
export class NodeChain {
  private n = 0;
  private events: WrittenEvent[] = [];
  private bytes = 0;
  private before: Position;
  private told: number;
  private underWay = 0;
  private sentDone: Position | undefined;
  sentAt = -Infinity;

  constructor(
    private readonly side: RelaySide,
    readonly node: string,
    private readonly chain: number,
    private version: number,
  ) {
    this.before = side.places().taken;
    this.told = side.trail.end;
  }

  get isEmpty(): boolean {
    return this.events.length === 0;
  }

  /** The relay is further than the node was told. */
  get isBehind(): boolean {
    const { taken, done } = this.side.places();
    return taken !== this.before || done !== this.sentDone;
  }

  add(event: WrittenEvent): void {
    if (event.bytes > EVENT_BYTES_MAX) {
      this.leaveOut();
      return;
    }
    this.events.push(event);
    this.bytes += event.bytes;
    if (this.bytes >= BATCH_BYTES_MAX || this.events.length >= BATCH_EVENTS_MAX) this.flush();
  }

  /**
   * What comes from now on is planned for these users. What came before is told first, be there anything in it or not:
   * it was planned for others, and the next batch must not seem to begin before it.
   */
  becomes(version: number): void {
    if (!this.isEmpty || this.isBehind) this.flush();
    this.version = version;
  }

  /** Sends what there is, be it only how far the relay is. @returns the bytes sent, 0 when it was left out */
  flush(): number {
    const moved = this.side.trail.since(this.told);
    if (moved === undefined || this.underWay >= BATCHES_UNDER_WAY_MAX) {
      this.leaveOut();
      return 0;
    }
    const { shard, term } = this.side;
    const { taken, done } = this.side.places();
    const { chain, version, before, events } = this;
    const link = { shard, term, chain, n: ++this.n, version, before, taken, done, moved };
    const payload = writeBatch(link, events);
    this.goOn(taken);
    this.sentDone = done;
    this.side.count('sent', payload.length);
    this.underWay++;
    this.side
      .send(this.node, payload)
      .catch(() => undefined)
      .finally(() => {
        this.underWay--;
      });
    return payload.length;
  }

  private leaveOut(): void {
    this.n++;
    this.side.count('omitted', 0);
    this.goOn(this.side.places().taken);
    // The next one tells of the hole: soon, also when nothing more happens.
    this.sentAt = -Infinity;
  }

  private goOn(taken: Position): void {
    this.events = [];
    this.bytes = 0;
    this.before = taken;
    this.told = this.side.trail.end;
    this.sentAt = performance.now();
  }
}
