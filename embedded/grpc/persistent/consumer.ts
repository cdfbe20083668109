import { randomUUID } from 'node:crypto';
import { Measurements, type Observed } from './measurements';
import type { Message } from './messages';

/** Messages on their way to one consumer at most, whatever it asks for. */
export const CONSUMER_SLOTS_MAX = 5_000;

/** How messages get to the other side. */
export interface Delivery {
  /** @returns undefined: it may take more at once; otherwise when it may */
  give(message: Message): Promise<void> | undefined;
  drop(): void;
}

export interface ConsumerName {
  readonly from: string;
  readonly username: string;
  readonly connectionName: string;
}

/** One connected reader of a group. */
export class Consumer {
  readonly id = randomUUID();
  readonly slots: number;
  private readonly underWay = new Map<string, { readonly message: Message; readonly since: number }>();
  private readonly measurements: Measurements | undefined;
  private blocked = false;
  total = 0;

  constructor(
    readonly name: ConsumerName,
    slots: number,
    measures: boolean,
    private readonly delivery: Delivery,
    private readonly onRoom: () => void,
  ) {
    this.slots = Math.min(slots, CONSUMER_SLOTS_MAX);
    if (measures) this.measurements = new Measurements();
  }

  get hasRoom(): boolean {
    return !this.blocked && this.underWay.size < this.slots;
  }

  get inFlight(): number {
    return this.underWay.size;
  }

  get messages(): readonly Message[] {
    return [...this.underWay.values()].map(({ message }) => message);
  }

  get observed(): readonly Observed[] {
    return this.measurements?.observed() ?? [];
  }

  give(message: Message): void {
    this.underWay.set(message.id, { message, since: performance.now() });
    this.total++;
    const taken = this.delivery.give(message);
    if (taken === undefined) return;
    // It does not take what it was sent: nothing more is written, or all of it would wait in this process.
    this.blocked = true;
    void taken.then(() => {
      this.blocked = false;
      this.onRoom();
    });
  }

  /** The message is no longer this one's. */
  release(id: string): void {
    const known = this.underWay.get(id);
    if (known === undefined) return;
    this.measurements?.add(performance.now() - known.since);
    this.underWay.delete(id);
  }

  drop(): void {
    this.delivery.drop();
  }
}
