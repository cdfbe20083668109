import { setTimeout as sleep } from 'node:timers/promises';
import type { LogEvent, SubscriptionItem } from '../../src/application/ports/event-log';
import { asEventId, asRevision } from '../../src/kernel/ids';
import { fromPlaces, ofShard, type Position } from '../../src/kernel/position';
import { Intake } from './intake';

const at = (n: number) => ({ commit: BigInt(n), prepare: BigInt(n) });
const event = (n: number, position: Position = at(n)): SubscriptionItem => ({
  kind: 'event',
  event: {
    stream: 's',
    revision: asRevision(BigInt(n)),
    position,
    id: asEventId(String(n)),
    type: 't',
    data: {},
    metadata: {},
    created: 0,
  } satisfies LogEvent,
});
const now = { eventsDue: -Infinity, idleDue: -Infinity };
const numbers = (events: readonly LogEvent[] | undefined): number[] =>
  (events ?? []).map(({ position }) => Number(position.commit));

/** Gives items when told to, and says how many were asked for. */
class Source implements AsyncIterable<SubscriptionItem> {
  asked = 0;
  private readonly items: SubscriptionItem[] = [];
  private wake: () => void = () => undefined;
  private end: Error | 'end' | undefined;

  give(...items: readonly SubscriptionItem[]): void {
    this.items.push(...items);
    this.wake();
  }
  finish(end: Error | 'end'): void {
    this.end = end;
    this.wake();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<SubscriptionItem> {
    for (;;) {
      const item = this.items.shift();
      if (item !== undefined) {
        this.asked += 1;
        yield item;
      } else if (this.end === undefined) {
        await new Promise<void>((resolve) => (this.wake = resolve));
      } else {
        if (this.end instanceof Error) throw this.end;
        return;
      }
    }
  }
}

describe('Intake', () => {
  let source: Source;
  let intake: Intake;
  let filling: Promise<void>;
  beforeEach(() => {
    source = new Source();
    intake = new Intake(4);
    filling = intake.fill(source);
  });
  afterEach(async () => {
    intake.close();
    source.finish('end');
    await filling;
  });

  it('gives one event at once when its time has come', async () => {
    const taking = intake.take(10, now);
    source.give(event(1));
    expect(await taking).toMatchObject({ position: at(1) });
  });

  it('gathers until its time has come, or until there are enough', async () => {
    source.give(event(1));
    const due = performance.now() + 40;
    const early = intake.take(10, { eventsDue: due, idleDue: due });
    source.give(event(2));
    expect(numbers((await early)?.events)).toEqual([1, 2]);
    expect(performance.now()).toBeGreaterThanOrEqual(due - 2);
    const enough = intake.take(2, { eventsDue: Infinity, idleDue: Infinity });
    source.give(event(3), event(4), event(5));
    const taken = await enough;
    expect(numbers(taken?.events)).toEqual([3, 4]);
    expect(taken?.position).toEqual(at(4));
  });

  it('passes on how far the log is when nothing happened, in its own time', async () => {
    source.give({ kind: 'checkpoint', position: at(5) }, { kind: 'caughtUp', position: at(6) });
    await sleep(1);
    expect(await intake.take(10, { eventsDue: Infinity, idleDue: -Infinity })).toEqual({
      events: [],
      position: at(6),
    });
    source.give(event(7), { kind: 'checkpoint', position: at(8) });
    await sleep(1);
    expect((await intake.take(10, now))?.position).toEqual(at(8));
  });

  it('says of a log in shards how far it has taken each, from where it began', async () => {
    const sharded = new Intake(10, fromPlaces([at(1), at(6), at(3)]));
    const shards = new Source();
    const fillingSharded = sharded.fill(shards);
    for (const [shard, n] of [
      [1, 7],
      [0, 2],
      [1, 8],
      [0, 3],
    ] as const)
      shards.give(event(n, ofShard(shard, at(n))));
    await sleep(1);
    expect((await sharded.take(2, now))?.position).toEqual(fromPlaces([at(2), at(7), at(3)]));
    expect((await sharded.take(2, now))?.position).toEqual(fromPlaces([at(3), at(8), at(3)]));
    shards.give(event(4, ofShard(2, at(4))));
    expect((await sharded.take(2, now))?.position).toEqual(fromPlaces([at(3), at(8), at(4)]));
    sharded.close();
    shards.finish('end');
    await fillingSharded;
  });

  it('reads no further ahead than it may', async () => {
    source.give(...Array.from({ length: 20 }, (_, n) => event(n)));
    await sleep(5);
    expect(source.asked).toBe(4);
    expect(intake.size).toBe(4);
    expect(numbers((await intake.take(2, now))?.events)).toEqual([0, 1]);
    await sleep(5);
    expect(source.asked).toBe(6);
  });

  it('gives what came before a failure, then the failure', async () => {
    source.give(event(1));
    source.finish(new Error('the log is gone'));
    await sleep(1);
    expect(numbers((await intake.take(10, now))?.events)).toEqual([1]);
    await expect(intake.take(10, now)).rejects.toThrow('the log is gone');
  });

  it('ends when the subscription does, and at once when it is closed', async () => {
    source.give(event(1));
    await sleep(1);
    intake.close();
    expect(await intake.take(10, now)).toBeUndefined();
  });
});
