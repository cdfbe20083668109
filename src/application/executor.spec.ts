import { FaultyEventLog } from '../infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../infrastructure/memory/memory-message-index';
import { asConversationId } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { conversationStream } from '../domain/conversation/streams';
import { COMMANDS_MAX, Executor } from './executor';
import { BATCH_COMMANDS_MAX, LANE_COMMANDS_MAX } from './executor/lane';
import {
  accepted,
  ANNA,
  group,
  messagesIn,
  read,
  send,
  storedIn,
  STRANGER,
} from '../../test/support/conversation-commands';

describe('Executor', () => {
  let memory: MemoryEventLog;
  let log: FaultyEventLog;
  let executor: Executor;
  const another = (): Executor => new Executor(log, new MemoryMessageIndex(memory));

  beforeEach(() => {
    memory = new MemoryEventLog();
    log = new FaultyEventLog(memory);
    executor = another();
  });
  afterEach(() => executor.close());

  /** A conversation of Anna and Ben, warm in the executor. */
  const started = async () => {
    const start = group();
    accepted(await executor.execute(start));
    log.appends.length = 0;
    log.reads.length = 0;
    return start.conversationId;
  };

  describe('batches', () => {
    it('appends once what gathered in one turn of the event loop, in order', async () => {
      const id = await started();
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, (_, n) => executor.execute(send(id, { text: `${n}` }))),
      );
      expect(log.appends).toEqual([{ stream: conversationStream(id), count: 50 }]);
      expect(log.reads).toEqual([]);
      expect(outcomes.map((outcome) => accepted(outcome).events[0]?.seq)).toEqual(
        outcomes.map((_, n) => n + 1),
      );
      expect((await messagesIn(memory, id)).map(({ text }) => text)).toEqual(outcomes.map((_, n) => `${n}`));
    });

    it('gathers what comes while an append is under way', async () => {
      const id = await started();
      const first = executor.execute(send(id));
      let release: () => void = () => undefined;
      log.beforeAppend = () =>
        new Promise((resolve) => {
          release = resolve;
        });
      await turn();
      const others = Array.from({ length: 10 }, () => executor.execute(send(id)));
      await turn();
      log.beforeAppend = () => Promise.resolve();
      release();
      await Promise.all([first, ...others]);
      expect(log.appends.map(({ count }) => count)).toEqual([1, 10]);
    });

    it(`holds ${BATCH_COMMANDS_MAX} commands at most, and half of the most bytes`, async () => {
      const id = await started();
      const count = BATCH_COMMANDS_MAX + 1;
      await Promise.all(Array.from({ length: count }, () => executor.execute(send(id))));
      expect(log.appends.map((append) => append.count)).toEqual([BATCH_COMMANDS_MAX, 1]);
      log.appends.length = 0;
      const large = Array.from({ length: 80 }, () =>
        executor.execute(send(id, { text: 'x'.repeat(16_000) })),
      );
      for (const outcome of await Promise.all(large)) accepted(outcome);
      expect(log.appends.map((append) => append.count)).toEqual([31, 31, 18]);
      expect((await storedIn(memory, id)).map(({ revision }) => Number(revision))).toEqual(
        Array.from({ length: count + 81 }, (_, n) => n),
      );
    });

    it('refuses alone the one command that no append can hold', async () => {
      const id = await started();
      const [small, large, next] = await Promise.all([
        executor.execute(send(id)),
        executor.execute(send(id, { text: 'x'.repeat(1_048_576) })),
        executor.execute(send(id)),
      ]);
      expect(accepted(small).events[0]?.seq).toBe(1);
      expect(large).toMatchObject({ kind: 'refused', refusal: { code: 'too_large' } });
      expect(accepted(next).events[0]?.seq).toBe(2);
    });

    it('runs conversations side by side, and forgets their lanes', async () => {
      const ids = [await started(), await started()];
      const gates: (() => void)[] = [];
      log.beforeAppend = () => new Promise((resolve) => gates.push(resolve));
      const sent = ids.map((id) => executor.execute(send(id)));
      await turn();
      expect(gates).toHaveLength(2);
      expect(executor.laneCount).toBe(2);
      for (const open of gates) open();
      await Promise.all(sent);
      await turn();
      expect(executor.laneCount).toBe(0);
    });

    it('gives each command its own answer', async () => {
      const id = await started();
      const twice = send(id);
      const outcomes = await Promise.all([
        executor.execute(twice),
        executor.execute(twice),
        executor.execute({ ...twice, contentHash: 'another' }),
        executor.execute(send(id, { by: STRANGER })),
        executor.execute(read(id, ANNA, 1)),
        executor.execute(send(id)),
      ]);
      expect(outcomes.map(({ kind }) => kind)).toEqual([
        'accepted',
        'repeated',
        'refused',
        'refused',
        'unchanged',
        'accepted',
      ]);
      expect(log.appends.map(({ count }) => count)).toEqual([2]);
    });
  });

  describe('limits', () => {
    it(`takes ${LANE_COMMANDS_MAX} commands of one conversation, and answers the next one as retryable`, async () => {
      const id = await started();
      const all = Array.from({ length: LANE_COMMANDS_MAX + 1 }, () => executor.execute(send(id)));
      const outcomes = await Promise.all(all);
      for (const outcome of outcomes.slice(0, -1)) accepted(outcome);
      expect(outcomes.at(-1)).toMatchObject({ kind: 'unavailable' });
      accepted(await executor.execute(send(id)));
    });

    it(`takes ${COMMANDS_MAX} commands in all`, async () => {
      const ids = Array.from({ length: COMMANDS_MAX / LANE_COMMANDS_MAX }, () => asConversationId(uuidv7()));
      const fill = ids.flatMap((id) =>
        Array.from({ length: LANE_COMMANDS_MAX }, () => executor.execute(send(id))),
      );
      const over = await executor.execute(send(asConversationId(uuidv7())));
      expect(over).toMatchObject({ kind: 'unavailable', retryAfterMs: 1_000 });
      for (const outcome of await Promise.all(fill)) expect(outcome).toMatchObject({ kind: 'refused' });
    });
  });

  it('drains what is under way when it closes, and takes nothing more', async () => {
    const id = await started();
    const sent = executor.execute(send(id));
    await executor.close();
    accepted(await sent);
    expect(await executor.execute(send(id))).toMatchObject({ kind: 'unavailable' });
  });

  it('stores metadata of the request, and its own when there is none', async () => {
    const id = await started();
    const context = { correlationId: 'c-1', traceparent: '00-1-1-01' };
    await executor.execute(send(id), context);
    await executor.execute(send(id));
    const [, first, second] = (await storedIn(memory, id)).map(({ metadata }) => metadata);
    expect(first).toMatchObject({ schemaVersion: 1, ...context });
    expect(second).toHaveProperty('correlationId', (second as { causationId: string }).causationId);
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
