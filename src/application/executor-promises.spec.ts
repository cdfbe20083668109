import fc from 'fast-check';
import {
  accepted,
  ANNA,
  BEN,
  group,
  messagesIn,
  newKey,
  send,
  storedIn,
} from '../../test/support/conversation-commands';
import type { LookupRequest, SendMessage } from '../domain/conversation/commands';
import { DEDUPE_WINDOW_MAX } from '../domain/conversation/state';
import { FaultyEventLog, type AppendFault } from '../infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../infrastructure/memory/memory-message-index';
import type { ConversationId } from '../kernel/ids';
import { verifyChain } from './audit-chain';
import { Executor, LOOKUPS_PER_COMMAND_MAX } from './executor';
import { ConversationLoader } from './executor/conversation-loader';
import { LOOKUP_WAIT_MS } from './executor/key-lookup';
import { STATES_MAX, WarmConversations } from './executor/warm-conversations';
import type { Outcome } from './outcome';
import { MessageIndex, type IndexLookup } from './ports/message-index';

/** Answers as told, then as the log does. */
class ScriptedIndex extends MessageIndex {
  answers: ('behind' | 'down' | 'hangs')[] = [];
  always: 'behind' | 'hangs' | undefined;
  asked = 0;
  before: () => Promise<void> = () => Promise.resolve();

  constructor(private readonly inner: MessageIndex) {
    super();
  }

  async find(id: ConversationId, request: LookupRequest): Promise<IndexLookup> {
    this.asked++;
    await this.before();
    const answer = this.answers.shift() ?? this.always;
    if (answer === 'down') throw new Error('down');
    if (answer === 'behind') return { kind: 'behind' };
    if (answer === 'hangs') return new Promise<IndexLookup>(() => undefined);
    return this.inner.find(id, request);
  }
}

describe('a key that the window cannot decide about', () => {
  let memory: MemoryEventLog;
  let index: ScriptedIndex;
  let executor: Executor;
  let id: ConversationId;
  /** Sent first, and long out of the window. */
  let old: SendMessage;
  const flood = async (count: number) => {
    const sent = Array.from({ length: count }, () => executor.execute(send(id, { by: BEN })));
    for (const outcome of await Promise.all(sent)) accepted(outcome);
  };

  beforeEach(async () => {
    memory = new MemoryEventLog();
    index = new ScriptedIndex(new MemoryMessageIndex(memory));
    executor = new Executor(memory, index);
    const start = group([BEN]);
    id = start.conversationId;
    accepted(await executor.execute(start));
    old = send(id, { key: 'chosen-by-hand' });
    accepted(await executor.execute(old));
    await flood(DEDUPE_WINDOW_MAX);
    expect(index.asked).toBe(0);
  });

  it('is looked up, and answered with what was stored', async () => {
    expect(await executor.execute(old)).toMatchObject({ kind: 'repeated', message: { seq: 1 } });
    expect(await executor.execute({ ...old, contentHash: 'x' })).toMatchObject({
      refusal: { code: 'client_message_id_reused' },
    });
    accepted(await executor.execute(send(id, { key: 'another-by-hand' })));
  });

  it('waits for an index that is behind, while others go on', async () => {
    index.answers = ['behind', 'behind'];
    const waiting = executor.execute(old);
    const others = await Promise.all([executor.execute(send(id)), executor.execute(send(id, { by: BEN }))]);
    for (const outcome of others) accepted(outcome);
    expect(index.asked).toBeLessThan(3);
    expect(await waiting).toMatchObject({ kind: 'repeated' });
    expect(index.asked).toBe(3);
  });

  it('keeps the order of those that are looked up together', async () => {
    const keys = Array.from({ length: 20 }, (_, n) => `by-hand-${n}`);
    await Promise.all(keys.map((key) => executor.execute(send(id, { key }))));
    expect((await messagesIn(memory, id)).slice(-20).map(({ key }) => key)).toEqual(keys);
  });

  it('is refused as retryable when the index is down, hangs, or stays behind too long', async () => {
    index.answers = ['down'];
    expect(await executor.execute(old)).toMatchObject({ kind: 'unavailable' });
    const began = Date.now();
    for (const always of ['behind', 'hangs'] as const) {
      index.always = always;
      expect(await executor.execute(old)).toMatchObject({ kind: 'unavailable' });
    }
    expect(Date.now() - began).toBeGreaterThanOrEqual(2 * LOOKUP_WAIT_MS - 50);
    expect(Date.now() - began).toBeLessThan(20 * LOOKUP_WAIT_MS);
    index.always = undefined;
    expect(await executor.execute(old)).toMatchObject({ kind: 'repeated' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(executor.laneCount).toBe(0);
  });

  it(`is looked up ${LOOKUPS_PER_COMMAND_MAX} times at most, when the conversation outruns each answer`, async () => {
    const before = index.asked;
    index.before = () => flood(DEDUPE_WINDOW_MAX + 1);
    const fresh = send(id, { key: 'by-hand-and-late' });
    expect(await executor.execute(fresh)).toMatchObject({ kind: 'unavailable' });
    expect(index.asked - before).toBe(LOOKUPS_PER_COMMAND_MAX);
    index.before = () => Promise.resolve();
    accepted(await executor.execute(fresh));
  });

  it('is settled before the executor closes', async () => {
    index.answers = ['behind'];
    const waiting = executor.execute(old);
    await executor.close();
    expect(await waiting).toMatchObject({ kind: 'repeated' });
  });
});

describe('states kept warm', () => {
  it('are the most recently used ones, up to the most', async () => {
    const memory = new MemoryEventLog();
    const executor = new Executor(memory, new MemoryMessageIndex(memory));
    const ids = Array.from({ length: 3 }, () => group());
    for (const start of ids) accepted(await executor.execute(start));
    const warm = new WarmConversations(new ConversationLoader(memory), 2);
    for (const { conversationId } of ids) await warm.fetch(conversationId);
    expect(warm.size).toBe(2);
    expect(ids.map(({ conversationId }) => warm.peek(conversationId) !== undefined)).toEqual([
      false,
      true,
      true,
    ]);
    expect(STATES_MAX).toBe(10_000);
  });
});

describe('the promises, with several nodes and a log that loses answers', () => {
  it('has one event for 200 concurrent sends of one key over two nodes, and one answer', async () => {
    const memory = new MemoryEventLog();
    const nodes = [0, 1].map(() => new Executor(memory, new MemoryMessageIndex(memory)));
    const start = group();
    accepted(await nodes[0]?.execute(start));
    const command = send(start.conversationId);
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, n % 5));
        // Each attempt has its own time and proposed id, as those of different nodes have.
        const attempt = {
          ...command,
          at: (command.at + n) as typeof command.at,
          messageId: send(start.conversationId).messageId,
        };
        return (nodes[n % 2] as Executor).execute(attempt);
      }),
    );
    const [stored, ...more] = await messagesIn(memory, start.conversationId);
    expect(more).toEqual([]);
    expect(outcomes.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
    for (const outcome of outcomes) expect(answerOf(outcome)).toEqual({ seq: stored?.seq, at: stored?.at });
  });

  const faults = fc.array(
    fc.constantFrom<AppendFault>('none', 'none', 'none', 'unavailable', 'stored, unheard', 'lost', 'late'),
    { maxLength: 12 },
  );
  const step = fc.record({
    node: fc.nat(1),
    key: fc.nat(8),
    by: fc.constantFrom(ANNA, BEN),
    pause: fc.nat(3),
  });

  // FAULTS.md: 1 nothing acknowledged is lost, 4 dense, 5 once, 7 sender's order, 22 unknown outcome.
  it('hold for any interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(faults, faults),
        fc.array(step, { maxLength: 30 }),
        async (scripts, steps) => {
          const memory = new MemoryEventLog();
          const logs = scripts.map(() => new FaultyEventLog(memory));
          const nodes = logs.map((log) => new Executor(log, new MemoryMessageIndex(memory)));
          const start = group([BEN]);
          accepted(await nodes[0]?.execute(start));
          logs.forEach((log, n) => (log.appendFaults = [...(scripts[n] ?? [])]));
          const id = start.conversationId;
          const keys = Array.from({ length: 9 }, () => newKey());
          const answers: { key: string; outcome: Outcome }[] = [];
          const running = steps.map(async ({ node, key, by, pause }, n) => {
            for (let turn = 0; turn < pause; turn++) await new Promise((resolve) => setImmediate(resolve));
            const command = send(id, { by, key: keys[key] ?? '', text: `${key}` });
            const attempt = { ...command, at: (command.at + n) as typeof command.at };
            // What is answered as retryable is tried again, on the other node, as devices do.
            for (let retry = 0; retry < 20; retry++) {
              const outcome = await (nodes[(node + retry) % 2] as Executor).execute(attempt);
              if (outcome.kind === 'unavailable') continue;
              answers.push({ key: `${by}/${keys[key] ?? ''}`, outcome });
              return;
            }
            throw new Error('never answered');
          });
          await Promise.all(running);
          await Promise.all(logs.map((log) => log.settled()));

          const stored = await storedIn(memory, id);
          expect(verifyChain(stored)).toMatchObject({ kind: 'intact' });
          const messages = await messagesIn(memory, id);
          expect(messages.map(({ ordinal }) => ordinal)).toEqual(messages.map((_, n) => n + 1));
          const byKey = new Map(messages.map((message) => [`${message.by}/${message.key}`, message]));
          expect(byKey.size).toBe(messages.length);
          for (const { key, outcome } of answers) {
            const message = byKey.get(key);
            expect(answerOf(outcome)).toEqual({ seq: message?.seq, at: message?.at });
          }
          const states = await Promise.all(nodes.map((node) => node.state(id, asLast(stored.length))));
          expect(states[0]?.lastOrdinal).toBe(messages.length);
          expect(states[1]?.lastOrdinal).toBe(messages.length);
        },
      ),
      { numRuns: 150 },
    );
  });
});

const asLast = (length: number) => (length - 1) as Parameters<Executor['state']>[1];

function answerOf(outcome: Outcome): { seq: number | undefined; at: number | undefined } {
  if (outcome.kind === 'repeated') return { seq: outcome.message.seq, at: outcome.message.at };
  const [event] = accepted(outcome).events;
  return { seq: event?.seq, at: event?.at };
}
