import { freshStream, newEvents } from '../../../../test/contracts/event-log/fixture';
import { EventLogUnavailable, type EventLog } from '../../../application/ports/event-log';
import { MemoryEventLog } from '../../memory/memory-event-log';
import {
  arrange,
  ARRANGEMENT_STREAM,
  checkAlone,
  openArrangement,
  OtherShards,
  readArrangement,
  writeArrangement,
  type NamedStore,
} from './arrangement';

/** A store that may begin another epoch, as after a restore. */
class Store extends MemoryEventLog implements NamedStore {
  renewed: string | undefined;
  readonly log: EventLog = this;
  constructor(readonly place: string) {
    super();
  }
  override async epoch(): Promise<string> {
    return this.renewed ?? super.epoch();
  }
  async hold(stream: string): Promise<void> {
    await this.append(stream, newEvents(1), { expected: 'any' });
  }
}

const placesOf = async (...stores: readonly Store[]): Promise<string[]> =>
  (await openArrangement(stores)).stores.map(({ place }) => place);

describe('the list of stores', () => {
  let a: Store;
  let b: Store;
  let c: Store;
  beforeEach(() => {
    [a, b, c] = [new Store('a:2113'), new Store('b:2113'), new Store('c:2113')];
  });

  it('makes new stores the shards of a log, in its order, and keeps that order however they are listed', async () => {
    expect(await placesOf(a, b, c)).toEqual(['a:2113', 'b:2113', 'c:2113']);
    await a.hold(freshStream('conversation'));
    expect(await placesOf(c, a, b)).toEqual(['a:2113', 'b:2113', 'c:2113']);
    expect(await readArrangement(b)).toMatchObject({ shard: 1, shards: 3 });
  });

  it('writes it once', async () => {
    for (let n = 0; n < 3; n++) await openArrangement([a, b]);
    const read = await a.readStream(ARRANGEMENT_STREAM, { limit: 9 });
    expect(read.kind === 'events' && read.events).toHaveLength(1);
  });

  it('has one identity, until a store begins another epoch', async () => {
    const { epoch } = await openArrangement([a, b]);
    expect((await openArrangement([b, a])).epoch).toBe(epoch);
    b.renewed = 'restored from a backup';
    const after = await openArrangement([a, b]);
    expect(after.epoch).not.toBe(epoch);
    expect((await openArrangement([a, b])).epoch).toBe(after.epoch);
  });

  it('keeps the identity that a log had before it was spread', async () => {
    const [one, other] = arrange([await a.epoch(), await b.epoch()], 'as before');
    if (one === undefined || other === undefined) throw new Error('two');
    await writeArrangement(a, one);
    await writeArrangement(b, other);
    expect((await openArrangement([a, b])).epoch).toBe('as before');
  });

  it('is finished after a start that was cut off', async () => {
    const [one] = arrange([await a.epoch(), await b.epoch()]);
    if (one !== undefined) await writeArrangement(a, one);
    expect(await placesOf(a, b)).toEqual(['a:2113', 'b:2113']);
  });

  it.each<[string, (stores: [Store, Store, Store]) => readonly Store[], RegExp]>([
    ['one is missing', ([one, two]) => [one, two], /exactly the shards .* a:2113 is shard 1 of 3/],
    [
      'one is new',
      ([one, two]) => [one, two, new Store('new:2113')],
      /a:2113 is shard 1 of 3 of another list/,
    ],
    ['one is more', (all) => [...all, new Store('new:2113')], /names 4 stores .* a:2113 is shard 1 of 3/],
    ['one is named twice', ([one, two]) => [one, two, two], /the same event store more than once/],
  ])('is refused when %s', async (_what, list, sentence) => {
    await openArrangement([a, b, c]);
    const wrong = openArrangement(list([a, b, c]));
    await expect(wrong).rejects.toThrow(OtherShards);
    await expect(wrong).rejects.toThrow(sentence);
  });

  it('is refused when its stores are shards of different logs', async () => {
    const [d, e] = [new Store('d:2113'), new Store('e:2113')];
    await openArrangement([a, b]);
    await openArrangement([d, e]);
    await expect(openArrangement([a, e])).rejects.toThrow(
      /names others: a:2113 is .*, e:2113 is shard 2 of 2/,
    );
  });

  it('is refused when a store holds conversations that were never spread', async () => {
    await b.hold(freshStream('conversation'));
    await expect(openArrangement([a, b])).rejects.toThrow(/b:2113 holds conversations that are not spread/);
    expect(await readArrangement(a)).toBeUndefined();
  });

  it('of one store takes any but a shard of several', async () => {
    await checkAlone(a);
    await a.hold(freshStream('conversation'));
    await checkAlone(a);
    await openArrangement([b, c]);
    await expect(checkAlone(c)).rejects.toThrow(
      /c:2113 is shard 2 of 2: EVENTSTORE_URL must name all of them/,
    );
  });

  it('cannot be checked while a store is away', async () => {
    b.close();
    await expect(openArrangement([a, b])).rejects.toThrow(EventLogUnavailable);
  });
});
