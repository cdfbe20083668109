import * as fc from 'fast-check';
import type { EventFrame } from '../src/protocol/events';
import { ParleyClient } from './client';
import { MemoryCursorStore, MemoryOutboxStore, type CursorState } from './stores';
import { FakeServer, ME } from './testing/fake-server';

const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 300);
const SEED = Number(process.env['PROPERTY_SEED'] ?? Date.now() % 1_000_000);
const ROOMS = ['r0', 'r1', 'r2'] as const;

type Step =
  | { readonly kind: 'send'; readonly room: number; readonly count: number }
  | { readonly kind: 'say'; readonly room: number; readonly lost: boolean }
  | { readonly kind: 'mishap'; readonly what: 'lose' | 'rate_limited' | 'unavailable' }
  | { readonly kind: 'cut' | 'restart' | 'doublePush' | 'holdSync' | 'releaseSync' | 'silence' }
  | { readonly kind: 'wait'; readonly ms: number };

const room = fc.nat(ROOMS.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('send' as const), room, count: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('say' as const), room, lost: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('mishap' as const),
      what: fc.constantFrom('lose' as const, 'rate_limited' as const, 'unavailable' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'cut' as const,
        'restart' as const,
        'doublePush' as const,
        'holdSync' as const,
        'releaseSync' as const,
        'silence' as const,
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(2_000) }) },
);

/** Cursors only move forward, also in what is saved. */
class ForwardOnlyStore extends MemoryCursorStore {
  readonly backward: string[] = [];
  private last: CursorState = { epoch: undefined, cursors: {} };

  override save(state: CursorState): Promise<void> {
    for (const [id, seq] of Object.entries(this.last.cursors)) {
      if ((state.cursors[id] ?? -1) < seq) this.backward.push(id);
    }
    this.last = state;
    return super.save(state);
  }
}

/** A server, and one device that is restarted with what its stores kept. */
class World {
  readonly server = new FakeServer();
  readonly sent: { readonly body: string; readonly room: string; readonly key: string }[] = [];
  readonly heard: EventFrame[] = [];
  readonly cursorStore = new ForwardOnlyStore();
  private readonly outboxStore = new MemoryOutboxStore();
  private client = this.device();
  /** Of this run of the device: after a restart, unsaved cursors may bring events again. */
  private floors = new Map<string, number>();

  async run(steps: readonly Step[]): Promise<void> {
    void this.client.connect().catch(() => undefined);
    await advance(0);
    for (const each of steps) {
      await this.take(each);
      await advance(0);
    }
  }

  /** Faults stop; the device has time to catch up. */
  async heal(): Promise<void> {
    this.server.mishaps.length = 0;
    this.server.swallow.clear();
    this.releaseSyncs();
    await advance(120_000);
    this.server.socket.cut();
    await advance(60_000);
  }

  async end(): Promise<void> {
    await this.client.close();
  }

  private async take(each: Step): Promise<void> {
    switch (each.kind) {
      case 'send':
        for (let n = 0; n < each.count; n++) this.send(ROOMS[each.room] as string);
        return;
      case 'say':
        // A push may only be lost with its socket, or be announced by resync.
        this.server.say(ROOMS[each.room] as string, 'theirs', { lost: each.lost });
        if (each.lost) this.server.push({ event: 'resync', data: { conversationIds: [ROOMS[each.room]] } });
        return;
      case 'mishap':
        this.server.mishaps.push(each.what);
        return;
      case 'cut':
        for (const socket of this.server.sockets) socket.cut();
        return;
      case 'restart':
        await this.client.close();
        this.floors.clear();
        this.client = this.device();
        void this.client.connect().catch(() => undefined);
        return;
      case 'doublePush':
        for (const events of this.server.log.values())
          for (const event of events.slice(-2)) this.server.push(event);
        return;
      case 'holdSync':
        this.server.heldSyncs ??= [];
        return;
      case 'releaseSync':
        this.releaseSyncs();
        return;
      case 'silence':
        this.server.swallow.add('message.send');
        return;
      case 'wait':
        await advance(each.ms);
        return;
    }
  }

  private send(conversationId: string): void {
    const body = `mine ${this.sent.length}`;
    const { message } = this.client.send({ conversationId }, body);
    this.sent.push({ body, room: conversationId, key: message.clientMessageId });
  }

  private releaseSyncs(): void {
    const held = this.server.heldSyncs ?? [];
    this.server.heldSyncs = undefined;
    for (const answer of held) answer();
  }

  private device(): ParleyClient {
    const client = new ParleyClient({
      url: 'http://parley.test',
      token: 'token',
      deviceId: 'phone',
      WebSocket: this.server.WebSocket,
      random: () => 0.5,
      cursorStore: this.cursorStore,
      outboxStore: this.outboxStore,
    });
    client.on('event', (frame) => {
      const { conversationId, seq } = frame.data;
      const floor = this.floors.get(conversationId) ?? -1;
      if (seq <= floor) throw new Error(`${conversationId}: ${seq} came after ${floor}`);
      this.floors.set(conversationId, seq);
      this.heard.push(frame);
    });
    client.on('error', (error) => {
      if (error instanceof Error && error.message.includes('came after')) this.broken.push(error.message);
    });
    return client;
  }

  readonly broken: string[] = [];
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

it(`stores each message once and hears each event once, in order, whatever the line does (seed ${SEED})`, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const world = new World();
      await world.run(steps);
      await world.heal();
      expect(world.broken).toEqual([]);
      expect(world.cursorStore.backward).toEqual([]);
      for (const conversationId of ROOMS) {
        const log = world.server.events(conversationId);
        const mine = log.flatMap((event) =>
          event.event === 'message.sent' && event.data.by === ME ? [event.data.clientMessageId] : [],
        );
        // Once each, and in the order of sending.
        expect(mine).toEqual(world.sent.filter((sent) => sent.room === conversationId).map(({ key }) => key));
        const heard = world.heard.filter(({ data }) => data.conversationId === conversationId);
        expect([...new Set(heard.map(({ data }) => data.seq))].sort((a, b) => a - b)).toEqual(
          log.map(({ data }) => data.seq),
        );
      }
      await world.end();
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: false },
  );
});
