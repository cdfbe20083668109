import { EventEmitter } from 'node:events';
import { setImmediate as afterTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { replayable } from '../../test/support/replayable';
import type { Push } from '../delivery/connection';
import { asConversationId, asSeq } from '../kernel/ids';
import { GATEWAY_LIMITS_DEFAULT, type GatewayLimits } from './gateway-limits';
import { OutboundQueue, type OutboundEvents, type Wire } from './outbound-queue';

const LIMITS: GatewayLimits = {
  ...GATEWAY_LIMITS_DEFAULT,
  outboundHighWaterBytes: 1_000,
  flushBytes: 300,
  pushesHeldMax: 4,
  resyncConversationsMax: 3,
  lastPushedMax: 2,
};

/** A socket whose kernel takes everything, or nothing until it is drained. */
class TestWire extends EventEmitter implements Wire {
  writableLength = 0;
  isBlocked = false;
  readonly written: Buffer[] = [];

  write(bytes: Buffer): boolean {
    this.written.push(bytes);
    if (this.isBlocked) this.writableLength += bytes.length;
    return !this.isBlocked;
  }

  drain(): void {
    this.isBlocked = false;
    this.writableLength = 0;
    this.emit('drain');
  }

  /** Payloads of all frames written so far, as texts. */
  texts(): string[] {
    const bytes = Buffer.concat(this.written);
    const texts: string[] = [];
    for (let at = 0; at < bytes.length;) {
      expect(bytes[at]).toBe(0x81);
      const short = bytes[at + 1] ?? 0;
      const [header, length] =
        short < 126
          ? [2, short]
          : short === 126
            ? [4, bytes.readUInt16BE(at + 2)]
            : [10, Number(bytes.readBigUInt64BE(at + 2))];
      texts.push(bytes.toString('utf8', at + header, at + header + length));
      at += header + length;
    }
    return texts;
  }
}

const push = (conversation: string, seq: number, size = 0): Push => ({
  conversationId: asConversationId(conversation),
  seq: asSeq(seq),
  bytes: Buffer.from(`${conversation}${seq}`.padEnd(size, '.')),
});

function setUp(limits: Partial<GatewayLimits> = {}) {
  const wire = new TestWire();
  const events = { written: jest.fn(), recovered: jest.fn(), overflowed: jest.fn() } satisfies OutboundEvents;
  const clock = { now: 0 };
  const queue = new OutboundQueue(wire, { ...LIMITS, ...limits }, events, () => clock.now);
  const fill = (): void => {
    wire.isBlocked = true;
    void queue.answer('f'.repeat(1_000));
    queue.push(push('filled', 0));
  };
  const texts = (): string[] => {
    queue.flush();
    return wire.texts().map((text) => text.replace(/\.+$/, ''));
  };
  return { wire, events, clock, queue, fill, texts };
}

const resync = (...conversationIds: string[]): string =>
  JSON.stringify({ event: 'resync', data: { conversationIds } });

describe('OutboundQueue', () => {
  it('writes once per turn of the event loop what came together in it', async () => {
    const { wire, queue, events } = setUp();
    void queue.answer('one');
    queue.push(push('a', 1));
    queue.hint(Buffer.from('hint'));
    expect(wire.written).toHaveLength(0);
    await afterTurn();
    await afterTurn();
    expect(wire.written).toHaveLength(1);
    expect(wire.texts()).toEqual(['one', 'a1', 'hint']);
    expect(events.written).toHaveBeenCalledWith(15);
  });

  it('writes at once when much has gathered, so that a burst does not look like a slow peer', () => {
    const { wire, queue } = setUp();
    for (let seq = 0; seq < 100; seq++) queue.push(push('a', seq, 100));
    expect(wire.written.length).toBeGreaterThan(30);
    expect(queue.isSlow).toBe(false);
    queue.flush();
    expect(wire.texts()).toHaveLength(100);
  });

  it('pushes rising seqs only', () => {
    const { queue, texts } = setUp();
    for (const seq of [3, 3, 2, 4, 1, 5]) queue.push(push('a', seq));
    queue.push(push('b', 1));
    expect(texts()).toEqual(['a3', 'a4', 'a5', 'b1']);
  });

  it('remembers the last seq of so many conversations at most, and of none after a rest', () => {
    const { queue, texts } = setUp();
    for (const conversation of ['a', 'b', 'c']) queue.push(push(conversation, 5));
    queue.push(push('c', 5));
    queue.push(push('b', 5));
    queue.push(push('a', 5));
    queue.rest(0);
    queue.rest(0);
    queue.push(push('c', 5));
    expect(texts()).toEqual(['a5', 'b5', 'c5', 'a5', 'c5']);
  });

  it('past the high-water mark only remembers what moved, and tells it once drained', () => {
    const { queue, fill, wire, events, texts } = setUp();
    fill();
    expect(queue.isSlow).toBe(true);
    queue.push(push('a', 1));
    queue.push(push('a', 2));
    queue.push(push('b', 7));
    queue.hint(Buffer.from('hint'));
    expect(queue.bytes).toBeLessThan(1_100);
    wire.drain();
    expect(queue.isSlow).toBe(false);
    expect(events.recovered).toHaveBeenCalledTimes(1);
    queue.push(push('a', 3));
    expect(texts().slice(1)).toEqual([resync('filled', 'a', 'b'), 'a3']);
  });

  it('is stuck when it has not drained in time, and not before', () => {
    const { queue, fill, clock, wire } = setUp();
    clock.now = 500;
    fill();
    expect(queue.isStuck(500 + LIMITS.slowSocketMs - 1)).toBe(false);
    expect(queue.isStuck(500 + LIMITS.slowSocketMs)).toBe(true);
    wire.drain();
    expect(queue.isStuck(1_000_000)).toBe(false);
  });

  it('overflows when more conversations moved than resync may name', () => {
    const { queue, fill, events } = setUp();
    fill();
    queue.push(push('a', 1));
    queue.push(push('b', 1));
    queue.push(push('b', 2));
    expect(events.overflowed).not.toHaveBeenCalled();
    queue.push(push('c', 1));
    expect(events.overflowed).toHaveBeenCalledTimes(1);
  });

  it('makes the sender of answers wait for room, and sends all of them', async () => {
    const { queue, fill, wire, texts } = setUp();
    fill();
    let taken = 0;
    const sending = (async () => {
      for (; taken < 3; taken++) await queue.answer(`answer ${taken}`);
    })();
    await afterTurn();
    await afterTurn();
    expect(taken).toBe(0);
    wire.drain();
    await sending;
    expect(texts().filter((text) => text.startsWith('answer'))).toEqual(['answer 0', 'answer 1', 'answer 2']);
  });

  it('lets waiting senders go when it ends, and queues nothing more', async () => {
    const { queue, fill, wire } = setUp();
    fill();
    const waiting = queue.answer('late');
    queue.end();
    await waiting;
    const before = wire.written.length;
    await queue.answer('too late');
    queue.push(push('a', 1));
    queue.hint(Buffer.from('hint'));
    queue.flush();
    expect(wire.written).toHaveLength(before);
  });

  describe('held', () => {
    it('lets pushes follow that the sync did not contain, in order', () => {
      const { queue, texts } = setUp();
      queue.hold();
      for (const seq of [1, 2, 3]) queue.push(push('a', seq));
      queue.push(push('b', 9));
      expect(texts()).toEqual([]);
      queue.release((conversation) => (conversation === 'a' ? asSeq(2) : undefined), 'all');
      expect(texts()).toEqual(['a3', 'b9']);
    });

    it('recognises what the sync contained for a while after, and not for ever', () => {
      const { queue, clock, texts } = setUp();
      queue.hold();
      queue.release(() => asSeq(5), 'all');
      queue.push(push('a', 5));
      queue.push(push('a', 6));
      clock.now = LIMITS.syncFloorMs;
      queue.rest(clock.now);
      queue.push(push('b', 4));
      expect(texts()).toEqual(['a6', 'b4']);
    });

    it('holds so many pushes at most, and tells of the others unless the sync contained them', () => {
      const { queue, texts } = setUp();
      queue.hold();
      for (const seq of [1, 2, 3, 4, 5, 6]) queue.push(push('a', seq));
      queue.push(push('b', 2));
      queue.release((conversation) => (conversation === 'b' ? asSeq(2) : asSeq(1)), 'all');
      expect(texts()).toEqual(['a2', 'a3', 'a4', resync('a')]);
    });

    it('holds so many bytes at most', () => {
      const { queue, texts } = setUp();
      queue.hold();
      queue.push(push('a', 1, 990));
      queue.push(push('b', 1, 20));
      queue.push(push('c', 1, 10));
      queue.push(push('b', 2, 1));
      queue.release(() => undefined, 'all');
      expect(texts()).toEqual(['a1', 'c1', resync('b')]);
    });

    it('waits with resync until the end of the hold, even if it drains before', () => {
      const { queue, fill, wire, texts } = setUp();
      fill();
      queue.hold();
      wire.drain();
      expect(texts()).toHaveLength(1);
      queue.release(() => undefined, 'all');
      expect(texts().slice(1)).toEqual([resync('filled')]);
    });
  });

  describe('after a sync that could not know of everything', () => {
    const of =
      (...names: string[]) =>
      (id: string) =>
        names.includes(id);

    it('tells of what the device knows nothing of, instead of pushing it, once until it is answered', () => {
      const { queue, texts } = setUp();
      queue.hold();
      queue.push(push('b', 4));
      queue.release(() => undefined, of('a'));
      for (const seq of [5, 6]) queue.push(push('b', seq));
      queue.push(push('a', 7));
      expect(texts()).toEqual([resync('b'), 'a7']);
      expect([...queue.owed]).toEqual(['b']);
      queue.hold();
      queue.release(() => undefined, 'nothing');
      queue.push(push('b', 7));
      expect([...queue.owed]).toEqual(['b']);
      queue.hold();
      queue.push(push('b', 8));
      queue.release((id) => (id === 'b' ? asSeq(7) : undefined), of('a', 'b'));
      expect(texts().slice(2)).toEqual(['b8']);
      expect([...queue.owed]).toEqual([]);
    });

    it('pushes what begins', () => {
      const { queue, texts } = setUp();
      queue.release(() => undefined, of());
      for (const seq of [0, 1]) queue.push(push('b', seq));
      expect(texts()).toEqual(['b0', 'b1']);
    });

    it('pushes everything after one that did', () => {
      const { queue, texts } = setUp();
      queue.release(() => undefined, of());
      queue.release(() => undefined, 'all');
      queue.push(push('b', 3));
      expect(texts()).toEqual(['b3']);
    });

    it('gives up a device that is told of more than resync may name, and asks for nothing', () => {
      const { queue, events } = setUp({ resyncConversationsMax: 2 });
      queue.release(() => undefined, of());
      for (const name of ['b', 'c']) queue.push(push(name, 1));
      expect(events.overflowed).not.toHaveBeenCalled();
      queue.push(push('d', 1));
      expect(events.overflowed).toHaveBeenCalled();
    });
  });

  describe('of a very large conversation that is not on screen', () => {
    const id = asConversationId('a');

    it('says that something was withheld before the next push, or when it is focused, once', async () => {
      const { queue, texts } = setUp();
      queue.withhold(id, asSeq(1));
      queue.withhold(id, asSeq(2));
      queue.push(push('b', 1));
      queue.push(push('a', 3));
      queue.push(push('a', 4));
      queue.catchUp(id);
      queue.withhold(id, asSeq(5));
      queue.catchUp(id);
      queue.catchUp(id);
      await afterTurn();
      expect(texts()).toEqual(['b1', resync('a'), 'a3', 'a4', resync('a')]);
    });

    it('says nothing of what a sync has brought, and of more than it remembers at once', async () => {
      const { queue, texts } = setUp({ withheldConversationsMax: 2 });
      queue.withhold(id, asSeq(1));
      queue.hold();
      queue.withhold(asConversationId('b'), asSeq(7));
      queue.release((one) => (one === id ? asSeq(1) : asSeq(6)), 'all');
      queue.catchUp(id);
      await afterTurn();
      expect(texts()).toEqual([]);
      queue.withhold(id, asSeq(2));
      queue.withhold(asConversationId('c'), asSeq(1));
      queue.catchUp(asConversationId('b'));
      await afterTurn();
      expect(texts()).toEqual([resync('b')]);
    });
  });

  it('loses nothing that it does not tell of, whatever happens (random)', () => {
    const conversation = fc.constantFrom('a', 'b');
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('push' as const), conversation }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('withhold' as const), conversation }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('catchUp' as const), conversation }) },
      fc.constantFrom({ do: 'hold' as const }, { do: 'release' as const }, { do: 'releaseSome' as const }),
      fc.constantFrom({ do: 'block' as const }, { do: 'drain' as const }, { do: 'flush' as const }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { queue, wire, events, texts } = setUp();
        const heads: Record<string, number> = { a: -1, b: -1 };
        const synced: Record<string, number> = { a: -1, b: -1 };
        for (const one of steps) {
          if (one.do === 'push')
            queue.push(push(one.conversation, ++(heads[one.conversation] as number), 60));
          else if (one.do === 'withhold')
            queue.withhold(asConversationId(one.conversation), asSeq(++(heads[one.conversation] as number)));
          else if (one.do === 'catchUp') queue.catchUp(asConversationId(one.conversation));
          else if (one.do === 'hold') queue.hold();
          else if (one.do === 'releaseSome') {
            // The answer knew of `a` alone.
            synced['a'] = heads['a'] as number;
            queue.release(
              (id) => (id === 'a' ? asSeq(synced[id] ?? -1) : undefined),
              (id) => id === 'a',
            );
          } else if (one.do === 'release') {
            Object.assign(synced, heads);
            queue.release((id) => asSeq(synced[id] ?? -1), 'all');
          } else if (one.do === 'block') wire.isBlocked = true;
          else if (one.do === 'drain') wire.drain();
          else queue.flush();
          expect(queue.bytes).toBeLessThan(2 * LIMITS.outboundHighWaterBytes + LIMITS.flushBytes);
        }
        queue.release((id) => asSeq(synced[id] ?? -1), 'nothing');
        for (const id of ['a', 'b']) queue.catchUp(asConversationId(id));
        queue.flush();
        wire.drain();
        for (const name of ['a', 'b']) {
          let last = -1;
          let isExcused = false;
          const expectNothingMissingBefore = (next: number): void => {
            for (let seq = last + 1; seq < next; seq++) {
              expect(isExcused || seq <= (synced[name] ?? -1)).toBe(true);
            }
          };
          for (const text of texts()) {
            if (text.includes('resync') && text.includes(`"${name}"`)) isExcused = true;
            if (!text.startsWith(name)) continue;
            const seq = Number(text.slice(1));
            expect(seq).toBeGreaterThan(last);
            expectNothingMissingBefore(seq);
            last = seq;
            isExcused = false;
          }
          expectNothingMissingBefore((heads[name] ?? -1) + 1);
        }
        expect(events.overflowed).not.toHaveBeenCalled();
      }),
      replayable(200),
    );
  });
});
