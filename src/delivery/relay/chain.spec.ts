import fc from 'fast-check';
import { replayable } from '../../../test/support/replayable';
import type { Position } from '../../kernel/position';
import {
  Chain,
  CHAIN_BATCHES_MAX,
  CHAIN_BYTES_MAX,
  RELAY_SILENT_MS,
  type ChainEnds,
  type Ending,
  type Link,
} from './chain';

const at = (place: number): Position => ({ commit: BigInt(place), prepare: BigInt(place) });
const placeOf = ({ commit }: Position): number => Number(commit);

/** The event at a place belongs to a conversation and a user, and is the next one of its conversation. */
interface Event {
  readonly place: number;
  readonly conversation: number;
  readonly user: number;
}

interface TestBatch extends Link {
  readonly events: readonly Event[];
}

const USERS = 3;
const CONVERSATIONS = 4;

/** A relay by the words of docs/adr/0038: takes the log in order, hands out late what is late, and numbers its batches. */
class TestRelay {
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
class TestNode implements ChainEnds<TestBatch> {
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

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ act: 'relayTakes' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'relayTakesLate' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'relayCatchesUp' } as const) },
  { weight: 6, arbitrary: fc.constant({ act: 'relaySends' } as const) },
  { weight: 5, arbitrary: fc.constant({ act: 'relayLearns' } as const) },
  { weight: 9, arbitrary: fc.constant({ act: 'arrives' } as const) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('lost' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('doubled' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('overtaken' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.constant({ act: 'relayDies' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'zombieSends' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'relayEnds' } as const) },
  { weight: 6, arbitrary: fc.constant({ act: 'nodeTakes' } as const) },
  { weight: 4, arbitrary: fc.constant({ act: 'nodeHasHandedOut' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'silence' } as const) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('connect' as const), user: fc.nat(USERS - 1) }) },
);

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Chain', () => {
  it('tells everybody everything, once and in order, whatever happens to batches and relays', async () => {
    let relayed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ conversation: fc.nat(CONVERSATIONS - 1), user: fc.nat(USERS - 1) }), {
          minLength: 30,
          maxLength: 60,
        }),
        fc.array(step, { minLength: 60, maxLength: 250 }),
        async (drawn, steps) => {
          // One user a conversation, as sockets see it: each has the conversation's events in their order.
          const log = drawn.map(({ conversation }, place) => ({
            place,
            conversation,
            user: conversation % USERS,
          }));
          const node = new TestNode(log, 2);
          let relay = new TestRelay(1, log, 1);
          let zombie: TestRelay | undefined;
          const line: TestBatch[] = [];
          for (const one of steps) {
            node.now += 10;
            switch (one.act) {
              case 'relayTakes':
                relay.take(() => false);
                break;
              case 'relayTakesLate':
                relay.take(() => true);
                break;
              case 'relayCatchesUp':
                relay.catchUp();
                break;
              case 'relaySends':
                if (relay.isKnown) line.push(relay.flush());
                break;
              case 'relayLearns':
                line.push(...relay.learn(node.version, [...node.users.keys()]));
                break;
              case 'arrives': {
                const batch = line.shift();
                if (batch !== undefined) node.chain.hear(batch, node.now);
                break;
              }
              case 'lost':
                line.splice(one.which, 1);
                break;
              case 'doubled': {
                const batch = line[one.which];
                if (batch !== undefined) line.splice(one.which, 0, batch);
                break;
              }
              case 'overtaken': {
                const [batch] = line.splice(one.which, 1);
                if (batch !== undefined) line.unshift(batch);
                break;
              }
              case 'relayDies':
                zombie = relay;
                relay = new TestRelay(relay.term + 1, log, relay.taken);
                break;
              case 'zombieSends':
                zombie?.take(() => false);
                if (zombie?.isKnown === true) line.push(zombie.flush());
                break;
              case 'relayEnds':
                node.chain.end(relay.term);
                break;
              case 'nodeTakes':
                node.step();
                break;
              case 'nodeHasHandedOut':
                node.finishLeaving();
                break;
              case 'silence':
                node.now += RELAY_SILENT_MS + 1;
                node.chain.tick(node.now);
                break;
              case 'connect':
                node.connect(one.user);
                break;
            }
            await turn();
            node.note();
            if (node.chain.isRelayed) relayed++;
            node.check();
          }
          // At the end nobody is left but the node itself, and then it has come to the end of the log.
          node.finishLeaving();
          await turn();
          node.chain.giveUp('ended');
          node.note();
          for (const _ of log) node.step();
          node.check();
        },
      ),
      replayable(300),
    );
    expect(relayed).toBeGreaterThan(100);
  });

  describe('step by step', () => {
    const LOG = Array.from({ length: 40 }, (_, place) => ({ place, conversation: 0, user: 0 }));
    let node: TestNode;
    let relay: TestRelay;

    beforeEach(async () => {
      node = new TestNode(LOG, 10);
      relay = new TestRelay(3, LOG, 10);
      node.connect(0);
      for (const batch of relay.learn(node.version, [0])) node.chain.hear(batch, 0);
      await join();
    });
    const join = async (): Promise<void> => {
      node.finishLeaving();
      await turn();
    };
    const next = (events = 1): TestBatch => {
      for (let n = 0; n < events; n++) relay.take(() => false);
      return relay.flush();
    };

    it('joins a chain that begins where it stands, and is told from there', () => {
      expect(node.chain.isRelayed).toBe(true);
      node.chain.hear(next(3), 1);
      expect(node.got.get(0)).toEqual([10, 11, 12]);
      expect(node.done).toBe(13);
    });

    it('follows by itself after a hole, from what it is certain of', () => {
      node.chain.hear(next(), 1);
      next();
      node.chain.hear(next(), 1);
      expect(node.endings).toEqual(['hole']);
      for (let n = 0; n < 3; n++) node.step();
      expect(node.got.get(0)).toEqual([10, 11, 12, 13]);
    });

    it('joins again as soon as it has come to where the chain goes on', async () => {
      next(2);
      const after = next();
      node.chain.hear(after, 1);
      expect(node.chain.isRelayed).toBe(false);
      for (let n = 0; n < 2; n++) node.step();
      node.chain.tick(2);
      await join();
      expect(node.chain.isRelayed).toBe(true);
      expect(node.got.get(0)).toEqual([10, 11, 12]);
    });

    it('follows by itself when the relay is silent for longer than RELAY_SILENT_MS', () => {
      node.chain.tick(RELAY_SILENT_MS);
      expect(node.endings).toEqual([]);
      node.chain.tick(RELAY_SILENT_MS + 1);
      expect(node.endings).toEqual(['silent']);
    });

    it('does not listen to a relay of a lower term', () => {
      const old = new TestRelay(2, LOG, 10);
      for (const batch of old.learn(node.version, [0])) node.chain.hear(batch, 1);
      expect(node.endings).toEqual([]);
      node.chain.hear(next(), 2);
      expect(node.got.get(0)).toEqual([10]);
    });

    it.each(['term', 'chain'] as const)(
      'does not go on with another %s whose numbers happen to fit',
      async (which) => {
        node.chain.giveUp('hole');
        const one = next();
        const other = { ...next(), [which]: one[which] + 1 };
        node.chain.hear(one, 1);
        node.step();
        node.chain.hear(other, 1);
        await join();
        // It does not begin before where the second one begins, which is where the node is not yet.
        expect(node.chain.isRelayed).toBe(false);
        node.chain.giveUp('hole');
        for (const batch of relay.learn(node.version + 1, [0])) node.chain.hear(batch, 1);
        for (let n = 0; n < 5; n++) node.step();
        node.chain.tick(2);
        await join();
        node.chain.hear({ ...next(), [which]: 9 }, 3);
        expect(node.endings).not.toEqual([]);
      },
    );

    it('listens to a lower term when the higher one has been silent: the leases may have been begun anew', async () => {
      node.chain.tick(RELAY_SILENT_MS + 1);
      relay = new TestRelay(1, LOG, 10);
      for (const batch of relay.learn(node.version, [0])) node.chain.hear(batch, RELAY_SILENT_MS + 2);
      await join();
      expect(node.chain.isRelayed).toBe(true);
    });

    it('is not misled by batches that the word of the end has overtaken', () => {
      const late = next();
      node.chain.end(3);
      node.chain.hear(late, 1);
      node.chain.tick(2);
      expect(node.chain.covers(99)).toBe(true);
      expect(node.endings).toEqual(['ended']);
    });

    it('covers nobody whom the relay does not know yet', async () => {
      node.connect(1);
      expect(node.chain.covers(node.version)).toBe(false);
      for (const batch of relay.learn(node.version, [0, 1])) node.chain.hear(batch, 1);
      expect(node.chain.covers(node.version)).toBe(true);
      node.chain.giveUp('uncovered');
      node.connect(2);
      expect(node.chain.covers(node.version)).toBe(true);
      // And it does not join what was planned before.
      for (let n = 0; n < 5; n++) node.chain.hear(next(), 2);
      for (let n = 0; n < 10; n++) node.step();
      node.chain.tick(3);
      await join();
      expect(node.chain.isRelayed).toBe(false);
    });

    it('keeps CHAIN_BATCHES_MAX batches while it catches up, and no more', () => {
      node.chain.giveUp('hole');
      const begin = next(5);
      for (let n = 0; n <= CHAIN_BATCHES_MAX; n++) {
        node.chain.hear({ ...begin, n: begin.n + n }, 1);
      }
      for (let n = 0; n < 5; n++) node.step();
      node.chain.tick(2);
      // What was kept was given up, with the batch that was one too many.
      expect(node.chain.covers(99)).toBe(true);
    });

    it('joins with as many as it keeps', async () => {
      node.chain.giveUp('hole');
      const begin = next(5);
      for (let n = 0; n < CHAIN_BATCHES_MAX; n++) node.chain.hear({ ...begin, n: begin.n + n }, 1);
      for (let n = 0; n < 5; n++) node.step();
      node.chain.tick(2);
      await join();
      expect(node.chain.isRelayed).toBe(true);
    });

    it('keeps CHAIN_BYTES_MAX bytes, and no more', async () => {
      for (const [bytes, joins] of [
        [CHAIN_BYTES_MAX, true],
        [CHAIN_BYTES_MAX + 1, false],
      ] as const) {
        node.chain.giveUp('hole');
        const begin = next();
        node.chain.hear({ ...begin, bytes }, 1);
        for (let n = 0; n < 5; n++) node.step();
        node.chain.tick(2);
        await join();
        expect(node.chain.isRelayed).toBe(joins);
      }
    });
  });
});
