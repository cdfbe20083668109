import { comparePositions, type Position } from '../../kernel/position';

/** A relay that was not heard for so long is gone: the node follows the log by itself. */
export const RELAY_SILENT_MS = 2_000;
/** Batches kept while the node comes to where they begin; beyond either bound it begins to keep anew. */
export const CHAIN_BATCHES_MAX = 4_096;
export const CHAIN_BYTES_MAX = 33_554_432;

/** What says where a batch belongs. Positions are places of the one shard that it is about. */
export interface Link {
  /** Of the relay's lease: a later relay has a higher one. */
  readonly term: number;
  /** Chains are numbered by the relay, batches within one from 1, without a hole. */
  readonly chain: number;
  readonly n: number;
  /** Which users of this node the relay knew of when it planned what is in it. */
  readonly version: number;
  /** Of all events after this, what concerns the node is in this batch or in a later one. */
  readonly before: Position;
  /** Nothing after this was handed to the node, and everything up to `done` was: in this batch or in an earlier one. */
  readonly taken: Position;
  readonly done: Position;
  readonly bytes: number;
}

/** Why a node follows the log by itself again. */
export type Ending = 'hole' | 'silent' | 'ended' | 'overflow' | 'uncovered' | 'term';

/** The node's side of it, for one shard. */
export interface ChainEnds<B extends Link> {
  /** Which of the node's users a relay must know of to follow the shard for it. */
  wanted(): number;
  /** Where the node stands in the shard that it follows by itself; undefined: it does not know yet. */
  taken(): Position | undefined;
  /** The node follows no longer. Resolves when it has handed out what it took, with how far that is. */
  leave(): Promise<Position | undefined>;
  /** The node follows again, from where everything has been handed out. */
  follow(why: Ending): void;
  /** Hands out what is in a batch. @param after whatever lies at or before it was handed out by the node itself */
  apply(batch: B, after: Position): void;
}

type State<B> =
  | { readonly kind: 'following' }
  /** The node has stopped to follow, and is about to have handed out what it took. */
  | { readonly kind: 'joining' }
  | { readonly kind: 'relayed'; readonly after: Position; last: B };

/**
 * What a node takes from a relay, and when. Because each batch says which one it follows, the node knows whether it has
 * missed one; then, and when nothing comes any more, it follows the log by itself from the last position that it is
 * certain of, until it has come to where an unbroken chain of batches begins. From one to the other it changes without
 * a hole, because the chain it joins begins at or before where it stands, and without saying anything twice, because
 * what the chain has up to there is left out.
 */
export class Chain<B extends Link> {
  private state: State<B> = { kind: 'following' };
  /** An unbroken chain, of which nothing has been handed out. */
  private waiting: B[] = [];
  private bytes = 0;
  private term = 0;
  private heardAt = -Infinity;
  /** Batches of it that were overtaken by the word that it is over are still to come. */
  private over: Pick<Link, 'term' | 'chain'> = { term: 0, chain: 0 };
  private newest: B | undefined;

  constructor(private readonly ends: ChainEnds<B>) {}

  get isRelayed(): boolean {
    return this.state.kind === 'relayed';
  }

  /** Whether the node gets everything of users that it has told relays of as this version. */
  covers(version: number): boolean {
    if (this.state.kind === 'following') return true;
    return this.state.kind === 'relayed' && this.state.last.version >= version;
  }

  /** Which of the node's users the relay that was heard last knows of; -1: there is none. */
  get known(): number {
    return this.newest?.version ?? -1;
  }

  /** @param now milliseconds of a monotonic clock */
  hear(batch: B, now: number): void {
    if (batch.term < this.term) return;
    if (batch.term === this.over.term && batch.chain <= this.over.chain) return;
    if (batch.term > this.term && this.state.kind !== 'following') this.giveUp('term');
    this.term = batch.term;
    this.heardAt = now;
    if (this.state.kind === 'relayed') {
      if (isNext(this.state.last, batch)) {
        this.state.last = this.newest = batch;
        this.ends.apply(batch, this.state.after);
        return;
      }
      this.giveUp('hole');
    }
    this.keep(batch);
    this.newest = batch;
    this.tryToJoin();
  }

  /** The relay has nothing more to say. */
  end(term: number): void {
    if (term < this.term) return;
    if (this.newest?.term === term) this.over = { term, chain: this.newest.chain };
    this.giveUp('ended');
  }

  /** To be called now and then: what happens by the passing of time, and of events. */
  tick(now: number): void {
    if (now - this.heardAt > RELAY_SILENT_MS) {
      this.giveUp('silent');
      // A log of leases that was begun anew counts from 1 again.
      this.term = 0;
    }
    this.tryToJoin();
  }

  /** The node follows the log by itself, until it can join a chain that begins now. */
  giveUp(why: Ending): void {
    const { kind } = this.state;
    this.forget();
    this.state = { kind: 'following' };
    if (kind !== 'following') this.ends.follow(why);
  }

  private keep(batch: B): void {
    const last = this.waiting.at(-1);
    if (last !== undefined && !isNext(last, batch)) this.giveUp('hole');
    this.waiting.push(batch);
    this.bytes += batch.bytes;
    if (this.waiting.length > CHAIN_BATCHES_MAX || this.bytes > CHAIN_BYTES_MAX) this.giveUp('overflow');
  }

  private tryToJoin(): void {
    if (this.state.kind !== 'following' || this.waiting.length === 0) return;
    // Those that were planned for fewer people than there are now are of no use.
    const wanted = this.ends.wanted();
    const begin = this.waiting.findIndex(({ version }) => version >= wanted);
    for (const { bytes } of this.waiting.splice(0, begin === -1 ? this.waiting.length - 1 : begin)) {
      this.bytes -= bytes;
    }
    const [first] = this.waiting;
    const taken = this.ends.taken();
    if (begin === -1 || first === undefined || taken === undefined) return;
    if (comparePositions(taken, first.before) >= 0) void this.join();
  }

  private async join(): Promise<void> {
    const joining: State<B> = { kind: 'joining' };
    this.state = joining;
    const after = await this.ends.leave();
    if (this.state !== joining) return;
    const batches = this.waiting;
    const [first] = batches;
    if (after === undefined || first === undefined) {
      this.giveUp('hole');
      return;
    }
    const relayed: State<B> = { kind: 'relayed', after, last: first };
    this.state = relayed;
    this.forget();
    for (const batch of batches) {
      // Whoever only a later one was planned for is not covered by this one.
      relayed.last = this.newest = batch;
      this.ends.apply(batch, after);
    }
  }

  private forget(): void {
    this.waiting = [];
    this.bytes = 0;
    this.newest = undefined;
  }
}

const isNext = (a: Link, b: Link): boolean => a.term === b.term && a.chain === b.chain && a.n + 1 === b.n;
