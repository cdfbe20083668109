import type { Position } from '../../src/kernel/position';
import { Chain, type ChainEnds, type Ending, type Link } from '../../src/delivery/relay/chain';

export const at = (place: number): Position => ({ commit: BigInt(place), prepare: BigInt(place) });
const placeOf = ({ commit }: Position): number => Number(commit);

/** The event at a place belongs to a conversation and a user, and is the next one of its conversation. */
interface Event {
  readonly place: number;
  readonly conversation: number;
  readonly user: number;
}

export interface TestBatch extends Link {
  readonly events: readonly Event[];
}

export const USERS = 3;
export const CONVERSATIONS = 4;

/** A relay by the words of docs/adr/0038: takes the log in order, hands out late what is late, and numbers its batches. */
export class TestRelay {
  taken: number;
  private n = 0;
  private chain = 0;
  private before = 0;
  private version = -1;
  private known = new Set<number>();
  private planned: Event[] = [];
  /** Taken, and waiting for their audience. */
  private late: Event[] = [];

  constructor(
    readonly term: number,
    private readonly log: readonly Event[],
    begin: number,
  ) {
    this.taken = begin;
  }

  take(isLate: (event: Event) => boolean): void {
    const event = this.log[this.taken];
    if (event === undefined) return;
    this.taken++;
    if (isLate(event) || this.late.some(({ conversation }) => conversation === event.conversation)) {
      this.late.push(event);
    } else this.plan(event);
  }

  catchUp(): void {
    for (const event of this.late.splice(0)) this.plan(event);
  }

  /** @returns the batch that ends before the change, and the one that tells of it */
  learn(version: number, users: readonly number[]): TestBatch[] {
    if (version <= this.version) return [this.flush()];
    const batches = this.version === -1 ? [] : [this.flush()];
    if (this.version === -1) {
      this.chain++;
      this.before = this.taken;
      this.planned = [];
    }
    this.version = version;
    this.known = new Set(users);
    return [...batches, this.flush()];
  }

  get isKnown(): boolean {
    return this.version >= 0;
  }

  flush(): TestBatch {
    const events = this.planned;
    this.planned = [];
    const before = this.before;
    this.before = this.taken;
    const done = this.late[0]?.place ?? this.taken;
    return {
      ...{ term: this.term, chain: this.chain, n: ++this.n, version: this.version, bytes: 10 },
      ...{ before: at(before), taken: at(this.taken), done: at(done), events },
    };
  }

  private plan(event: Event): void {
    if (this.known.has(event.user)) this.planned.push(event);
  }
}

/** A node: its own way through the log, and sockets that drop what does not rise, as connections do. */
export class TestNode implements ChainEnds<TestBatch> {
  readonly chain = new Chain<TestBatch>(this);
  readonly got = new Map<number, number[]>();
  readonly users = new Map<number, { readonly since: number; readonly version: number }>();
  version = 0;
  now = 0;
  endings: Ending[] = [];
  /** Everything up to `done` was handed out, and nothing after `taken_`. */
  done: number;
  private taken_: number;
  private isLeft = false;
  private leaving: (() => void) | undefined;

  constructor(
    private readonly log: readonly Event[],
    begin: number,
  ) {
    this.done = this.taken_ = begin;
  }

  /** A device comes: what it is told of the past ends where the node says it stands. */
  connect(user: number): void {
    if (this.users.has(user)) return;
    this.version++;
    this.users.set(user, { since: Infinity, version: this.version });
    this.note();
  }

  /** What `sync` does: who is covered has its position noted. */
  note(): void {
    for (const [user, { since, version }] of this.users) {
      if (since === Infinity && this.chain.covers(this.version)) {
        this.users.set(user, { since: this.taken_, version });
      }
    }
  }

  step(): void {
    const event = this.log[this.taken_];
    if (this.isLeft || event === undefined) return;
    this.taken_++;
    this.push(event);
    this.done = this.taken_;
  }

  finishLeaving(): void {
    this.leaving?.();
    this.leaving = undefined;
  }

  wanted(): number {
    return this.version;
  }

  taken(): Position {
    return at(this.taken_);
  }

  leave(): Promise<Position> {
    this.isLeft = true;
    return new Promise((resolve) => {
      this.leaving = () => {
        resolve(at(this.taken_));
      };
    });
  }

  follow(why: Ending): void {
    this.endings.push(why);
    this.isLeft = false;
    // Handed out in part by the relay: taken again, and the sockets know what they have.
    this.taken_ = this.done;
  }

  apply({ events, done, taken }: TestBatch, after: Position): void {
    for (const event of events) if (event.place >= placeOf(after)) this.push(event);
    this.done = Math.max(this.done, placeOf(done));
    this.taken_ = Math.max(this.taken_, placeOf(taken));
    this.note();
  }

  private push({ place, conversation, user }: Event): void {
    if (!this.users.has(user)) return;
    const had = this.got.get(conversation) ?? [];
    if ((had.at(-1) ?? -1) < place) this.got.set(conversation, [...had, place]);
  }

  /** What devices have after their sync, against the log. */
  check(): void {
    for (const [user, { since }] of this.users) {
      const mine = this.log.filter((event) => event.user === user && event.place < this.done);
      const owed = mine.filter(({ place }) => place >= since).map(({ place }) => place);
      const got = new Set([...this.got.values()].flat());
      const missing = owed.filter((place) => !got.has(place));
      if (missing.length > 0) throw new Error(`user ${user} (since ${since}) never got ${missing.join()}`);
    }
    for (const [conversation, places] of this.got) {
      const rising = places.every((place, n) => n === 0 || place > (places[n - 1] ?? 0));
      if (!rising) throw new Error(`conversation ${conversation} came as ${places.join()}`);
    }
  }
}
