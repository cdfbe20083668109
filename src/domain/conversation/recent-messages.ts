import type { ClientMessageId, UserId } from '../../kernel/ids';
import { dedupeKey } from './keys';
import type { RecentMessage } from './state';

/** What versions that grew out of one another have in common. Only the newest of them adds to it. */
interface Shared {
  readonly entries: RecentMessage[];
  /** Key → index of its last entry. */
  readonly byKey: Map<string, number>;
}

/**
 * The dedupe window: the newest messages' keys, oldest first. Persistent, like everything in a state: adding makes a
 * new version, and the old one goes on to see what it saw.
 *
 * Every send adds one entry and lets go of one, always at the newest version, and a general persistent map and list
 * cost more there than all of deciding. So versions share an array that only grows, and each sees a stretch of it. A
 * version that is not the newest, as after an append that failed, goes on in a copy of its stretch.
 */
export class RecentMessages {
  readonly #shared: Shared;
  readonly #from: number;
  readonly #to: number;

  private constructor(shared: Shared, from: number, to: number) {
    this.#shared = shared;
    this.#from = from;
    this.#to = to;
  }

  /** @param entries oldest first */
  static of(entries: readonly RecentMessage[]): RecentMessages {
    const byKey = new Map(entries.map((entry, index) => [keyOf(entry), index]));
    return new RecentMessages({ entries: [...entries], byKey }, 0, entries.length);
  }

  get size(): number {
    return this.#to - this.#from;
  }

  /** Entries in memory, with those that have left this version: at most twice as many as the largest `max` so far. */
  get held(): number {
    return this.#shared.entries.length;
  }

  get oldest(): RecentMessage | undefined {
    return this.size === 0 ? undefined : this.#shared.entries[this.#from];
  }

  get newest(): RecentMessage | undefined {
    return this.size === 0 ? undefined : this.#shared.entries[this.#to - 1];
  }

  find(by: UserId, clientMessageId: ClientMessageId): RecentMessage | undefined {
    const index = this.#shared.byKey.get(dedupeKey(by, clientMessageId));
    // Other versions may have added it, or have seen it before it left this one.
    if (index === undefined || index < this.#from || index >= this.#to) return undefined;
    return this.#shared.entries[index];
  }

  /** With one more; of more than `max` the oldest leaves. */
  add(entry: RecentMessage, max: number): { readonly recent: RecentMessages; readonly left?: RecentMessage } {
    const key = keyOf(entry);
    const { entries, byKey } = this.#shared;
    const isNewest = entries.length === this.#to;
    // What left is kept until there is as much of it as of the rest: then copying costs no more than it frees. A key
    // that is there already would hide its earlier entry from older versions.
    if (!isNewest || byKey.has(key) || entries.length >= 2 * max) {
      return RecentMessages.of(entries.slice(this.#from, this.#to)).append(key, entry, max);
    }
    return this.append(key, entry, max);
  }

  /** Oldest first. */
  *[Symbol.iterator](): Iterator<RecentMessage> {
    for (let index = this.#from; index < this.#to; index++) {
      yield this.#shared.entries[index] as RecentMessage;
    }
  }

  private append(key: string, entry: RecentMessage, max: number): ReturnType<RecentMessages['add']> {
    const { entries, byKey } = this.#shared;
    byKey.set(key, entries.push(entry) - 1);
    const isFull = this.size >= max;
    const recent = new RecentMessages(this.#shared, isFull ? this.#from + 1 : this.#from, this.#to + 1);
    const { oldest } = this;
    return isFull && oldest !== undefined ? { recent, left: oldest } : { recent };
  }
}

const keyOf = ({ by, clientMessageId }: RecentMessage): string => dedupeKey(by, clientMessageId);
