import { configOf, conversationOf, RecordingConnection, userOf } from '../../../test/support/delivery';
import { MemoryRelayBus, MemoryRelayLine } from '../../infrastructure/memory/memory-relay-bus';
import { asMillis, asOrdinal, asSeq } from '../../kernel/ids';
import type { Position } from '../../kernel/position';
import { Hub } from '../hub';
import type { PlannedEvent } from '../planned';
import { forEachMoved, moved, readBatch, writeBatch, writeEvent, type Batch } from './batch';
import { KnownUsers, NODE_SILENT_MS, RELAY_NODES_MAX } from './known-users';
import {
  BATCH_BYTES_MAX,
  BATCH_EVENTS_MAX,
  BATCH_MOVED_MAX,
  BATCHES_UNDER_WAY_MAX,
  EVENT_BYTES_MAX,
  MovedTrail,
  NodeChain,
} from './node-chain';
import { OwnUsers } from './own-users';
import { INTEREST_USERS_EACH_MAX, INTEREST_USERS_MAX, readNodeWord, type NodeWord } from './words';

const at = (place: number): Position => ({ commit: BigInt(place), prepare: BigInt(place) });
const ONE = conversationOf(1);

const eventOf = (seq: number, frame: Buffer | string, more: Partial<PlannedEvent> = {}): PlannedEvent => ({
  conversationId: ONE,
  seq: asSeq(seq),
  forms: [{ bytes: Buffer.from(frame), userIds: [userOf(1)] }],
  sentAt: undefined,
  reach: undefined,
  veryLarge: undefined,
  ...more,
});
const written = (seq: number, frame: Buffer | string) =>
  writeEvent({ place: at(seq), event: eventOf(seq, frame), traceparent: undefined });

describe('a batch', () => {
  it('is read as it was written', () => {
    const events = [
      { place: at(3), event: eventOf(1, '{"ä":1}', { sentAt: asMillis(5) }), traceparent: '00-1' },
      {
        place: at(4),
        traceparent: undefined,
        event: eventOf(2, 'x', {
          reach: 7,
          forms: [
            { bytes: Buffer.from('one'), userIds: [userOf(1), userOf(2)] },
            { bytes: Buffer.from('another'), userIds: [userOf(3)] },
          ],
          veryLarge: {
            lastOrdinal: asOrdinal(9),
            members: [userOf(1)],
            concern: { of: userOf(1), how: 'push' },
          },
        }),
      },
    ];
    const link = { shard: 1, term: 2, chain: 3, n: 4, version: 5 };
    const places = { before: at(1), taken: at(4), done: at(3) };
    const ids = Buffer.concat([moved(ONE, asSeq(1)), moved(ONE, asSeq(2 ** 40))].flatMap((one) => one ?? []));
    const payload = writeBatch({ ...link, ...places, moved: ids }, events.map(writeEvent));
    const batch = readBatch(payload);
    expect(batch).toEqual({ ...link, ...places, moved: ids, events, bytes: payload.length });
    const seen: unknown[] = [];
    forEachMoved(batch.moved, (...one) => seen.push(one));
    expect(seen).toEqual([
      [ONE, 1],
      [ONE, 2 ** 40],
    ]);
    expect(() => readBatch(payload.subarray(0, -1))).toThrow(RangeError);
  });

  it('tells of none but our ids', () => {
    expect(moved('of somebody else' as never, asSeq(1))).toBeUndefined();
  });
});

describe("a node's chain", () => {
  let sent: Batch[];
  let trail: MovedTrail;
  let chain: NodeChain;
  let answers: (() => void)[];
  let taken: Position;
  let counted: string[];

  beforeEach(() => {
    [sent, answers, trail, taken, counted] = [[], [], new MovedTrail(), at(1), []];
    const side = {
      ...{ shard: 0, term: 1, trail },
      places: () => ({ taken, done: taken }),
      count: (outcome: string) => {
        counted.push(outcome);
      },
      send: (_node: string, payload: Buffer) => {
        sent.push(readBatch(payload));
        return new Promise<void>((resolve) => answers.push(resolve));
      },
    };
    chain = new NodeChain(side, 'node', 1, 1);
  });

  it('is sent when it has grown to BATCH_EVENTS_MAX events', () => {
    for (let seq = 1; seq < BATCH_EVENTS_MAX; seq++) chain.add(written(seq, 'x'));
    expect(sent).toHaveLength(0);
    chain.add(written(BATCH_EVENTS_MAX, 'x'));
    expect(sent.map(({ events }) => events.length)).toEqual([BATCH_EVENTS_MAX]);
    expect(chain.isEmpty).toBe(true);
  });

  it('is sent when it has grown to BATCH_BYTES_MAX bytes', () => {
    chain.add(written(1, Buffer.alloc(BATCH_BYTES_MAX - 1_000)));
    expect(sent).toHaveLength(0);
    chain.add(written(2, Buffer.alloc(1_000)));
    expect(sent.map(({ events }) => events.length)).toEqual([2]);
  });

  it('leaves out an event of more than EVENT_BYTES_MAX, and its number', () => {
    const entry = written(1, '').bytes;
    chain.add(written(1, Buffer.alloc(EVENT_BYTES_MAX - entry - 8)));
    expect(sent.map(({ n }) => n)).toEqual([1]);
    chain.add(written(2, Buffer.alloc(EVENT_BYTES_MAX + 1)));
    chain.add(written(3, 'x'));
    chain.flush();
    expect(sent.map(({ n, events }) => [n, events.length])).toEqual([
      [1, 1],
      [3, 1],
    ]);
    expect(counted).toEqual(['sent', 'omitted', 'sent']);
  });

  it('has BATCHES_UNDER_WAY_MAX batches under way, and leaves out more', async () => {
    for (let n = 0; n < BATCHES_UNDER_WAY_MAX; n++) expect(chain.flush()).toBeGreaterThan(0);
    expect(chain.flush()).toBe(0);
    for (const answer of answers) answer();
    await new Promise((resolve) => setImmediate(resolve));
    expect(chain.flush()).toBeGreaterThan(0);
    expect(sent.at(-1)?.n).toBe(BATCHES_UNDER_WAY_MAX + 2);
  });

  it('tells of BATCH_MOVED_MAX events in a batch, and leaves out one that would tell of more', () => {
    const id = moved(ONE, asSeq(1)) as Buffer;
    for (let n = 0; n < BATCH_MOVED_MAX; n++) trail.push(id);
    expect(chain.flush()).toBeGreaterThan(0);
    for (let n = 0; n <= BATCH_MOVED_MAX; n++) trail.push(id);
    expect(chain.flush()).toBe(0);
    // What nobody may ask for any more is forgotten.
    for (let n = 0; n < 2 * BATCH_MOVED_MAX; n++) trail.push(id);
    expect(trail.since(0)).toBeUndefined();
    expect(chain.flush()).toBe(0);
    expect(chain.flush()).toBeGreaterThan(0);
  });

  it('ends what was planned for others before it says that it knows more users', () => {
    taken = at(2);
    chain.becomes(2);
    chain.flush();
    expect(sent.map(({ version, before, taken: to }) => [version, before, to])).toEqual([
      [1, at(1), at(2)],
      [2, at(2), at(2)],
    ]);
  });
});

describe('who is where', () => {
  const whole = (node: string, users: number, version = 1): NodeWord => ({
    ...{ kind: 'whole', node, version, part: 0, parts: 1 },
    users: Array.from({ length: users }, (_, n) => userOf(n)),
  });
  const change = (version: number, came: number[], went: number[] = []): NodeWord => ({
    ...{ kind: 'change', node: 'a', version },
    ...{ came: came.map(userOf), went: went.map(userOf) },
  });

  it('is known from the whole, and from what follows it without a hole', () => {
    const known = new KnownUsers();
    expect(known.hear(change(1, [1]), 0)).toBeUndefined();
    expect(known.hear(whole('a', 2), 0)?.version).toBe(1);
    expect(known.hear(change(2, [5], [0]), 0)?.version).toBe(2);
    expect([0, 1, 5].map((n) => known.has(userOf(n)))).toEqual([false, true, true]);
    expect(known.hear(change(4, [6]), 0)).toBeUndefined();
    expect(known.has(userOf(6))).toBe(false);
    known.hear(whole('b', 2), 0);
    expect(known.nodesOf(userOf(1)).map(({ name }) => name)).toEqual(['a', 'b']);
    known.hear({ kind: 'gone', node: 'a' }, 0);
    expect(known.nodesOf(userOf(1)).map(({ name }) => name)).toEqual(['b']);
  });

  it('is not known of a whole with a part missing', () => {
    const known = new KnownUsers();
    const part = (n: number): NodeWord => ({ ...whole('a', 1), part: n, parts: 3 }) as NodeWord;
    for (const n of [0, 2]) expect(known.hear(part(n), 0)).toBeUndefined();
    for (const n of [0, 1]) expect(known.hear(part(n), 0)).toBeUndefined();
    expect(known.hear(part(2), 0)?.version).toBe(1);
  });

  it('is forgotten of a node that is silent for more than NODE_SILENT_MS', () => {
    const known = new KnownUsers();
    known.hear(whole('a', 1), 0);
    expect(known.expire(NODE_SILENT_MS)).toEqual([]);
    expect(known.expire(NODE_SILENT_MS + 1).map(({ name }) => name)).toEqual(['a']);
    expect(known.has(userOf(0))).toBe(false);
  });

  it('is known of RELAY_NODES_MAX nodes', () => {
    const known = new KnownUsers();
    for (let n = 0; n < RELAY_NODES_MAX; n++) known.hear(whole(`n${n}`, 1), 0);
    expect(known.hear(whole('one more', 1), 0)).toBeUndefined();
    expect(known.size).toBe(RELAY_NODES_MAX);
  });

  it('is known of INTEREST_USERS_MAX users of a node', () => {
    const known = new KnownUsers();
    expect(known.hear(whole('a', INTEREST_USERS_MAX), 0)?.version).toBe(1);
    expect(known.hear(change(2, [INTEREST_USERS_MAX]), 0)).toBeUndefined();
    expect(known.hear(whole('b', INTEREST_USERS_MAX + 1), 0)).toBeUndefined();
  });

  describe('as the node tells it', () => {
    let hub: Hub;
    let own: OwnUsers;
    let words: NodeWord[];
    const heard = async (): Promise<readonly NodeWord[]> => {
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      return words.splice(0);
    };
    beforeEach(() => {
      const line = new MemoryRelayLine();
      words = [];
      const relay = new MemoryRelayBus('relay', line);
      relay.onNodes(0, (payload) => words.push(...[readNodeWord(payload)].flatMap((word) => word ?? [])));
      hub = new Hub(configOf());
      own = new OwnUsers(new MemoryRelayBus('node', line), hub);
    });
    afterEach(() => {
      own.stop();
    });

    it('comes in parts of INTEREST_USERS_EACH_MAX, and changes as they happen', async () => {
      const connections = Array.from(
        { length: INTEREST_USERS_EACH_MAX + 1 },
        (_, n) => new RecordingConnection(userOf(n)),
      );
      for (const connection of connections) hub.register(connection, 's');
      expect(await heard()).toEqual([]);
      own.tellAll(0);
      expect((await heard()).map((word) => ('users' in word ? word.users.length : word.kind))).toEqual([
        INTEREST_USERS_EACH_MAX,
        1,
      ]);
      const before = own.version();
      for (const connection of connections) hub.unregister(connection);
      hub.register(new RecordingConnection(userOf(0)), 's');
      expect(own.version()).toBe(before + 1);
      const [gone] = await heard();
      expect(gone).toMatchObject({ kind: 'change', came: [] });
      for (const connection of connections) hub.register(connection, 's');
      hub.unregister(hub.connectionsOf(userOf(1))[0] as never);
      // Went and came in the same moment: nothing to tell of them.
      hub.register(new RecordingConnection(userOf(1)), 's');
      expect(own.version()).toBe(before + 2);
    });

    it('ends when there are more than INTEREST_USERS_MAX', async () => {
      const users = Array.from({ length: INTEREST_USERS_MAX + 1 }, (_, n) => userOf(n));
      const here = jest.spyOn(hub, 'users');
      here.mockReturnValue(users.slice(1).values() as never);
      expect(own.tellAll(0)).toBe(true);
      here.mockReturnValue(users.values() as never);
      expect(own.tellAll(0)).toBe(false);
      expect((await heard()).at(-1)).toEqual({ kind: 'gone', node: 'node' });
    });
  });
});
