import { FaultyEventLog } from '../infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../infrastructure/memory/memory-message-index';
import { conversationStream } from '../domain/conversation/streams';
import { verifyChain } from './audit-chain';
import { Executor } from './executor';
import { CONFLICT_ATTEMPTS_MAX, UNKNOWN_ATTEMPTS_MAX } from './executor/batch';
import {
  accepted,
  ANNA,
  BEN,
  group,
  messagesIn,
  send,
  storedIn,
  STRANGER,
} from '../../test/support/conversation-commands';
import { READ_EVENTS_MAX, type LogEvent } from './ports/event-log';

describe('Executor, when things fail', () => {
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

  describe('when the outcome of an append is unknown', () => {
    it.each(['stored, unheard', 'lost', 'late'] as const)(
      '%s: stores once, and answers once',
      async (fault) => {
        const id = await started();
        log.appendFaults = [fault];
        const outcomes = await Promise.all([executor.execute(send(id)), executor.execute(send(id))]);
        await log.settled();
        expect(outcomes.map((outcome) => accepted(outcome).events[0]?.seq)).toEqual([1, 2]);
        const stored = await storedIn(memory, id);
        expect(stored).toHaveLength(3);
        expect(accepted(outcomes[1]).position).toEqual(stored[2]?.position);
        accepted(await executor.execute(send(id)));
        expect(verifyChain(await storedIn(memory, id))).toMatchObject({ kind: 'intact' });
      },
    );

    it.each(['stored, unheard', 'lost', 'late'] as const)('%s, for the first event of all', async (fault) => {
      log.appendFaults = [fault];
      const start = group();
      accepted(await executor.execute(start));
      await log.settled();
      expect(await storedIn(memory, start.conversationId)).toHaveLength(1);
    });

    it('answers a retry after it gave up with what the late append stored', async () => {
      const id = await started();
      log.appendFaults = Array.from({ length: UNKNOWN_ATTEMPTS_MAX }, () => 'late' as const);
      const command = send(id);
      expect(await executor.execute(command)).toMatchObject({ kind: 'unavailable' });
      await log.settled();
      const retried = await executor.execute({ ...command, at: later(command.at) });
      expect(retried).toMatchObject({ kind: 'repeated', message: { seq: 1, at: command.at } });
      expect(await messagesIn(memory, id)).toHaveLength(1);
    });

    it('stores a retry once when it overtakes the late append, with its own time', async () => {
      const id = await started();
      const command = send(id);
      let open: () => void = () => undefined;
      log.appendFaults = ['lost', 'lost', 'lost'];
      expect(await executor.execute(command)).toMatchObject({ kind: 'unavailable' });
      log.beforeAppend = () =>
        new Promise((resolve) => {
          open = resolve;
        });
      const slow = executor.execute({ ...command, at: later(command.at) });
      await turn();
      // The very same message through another node, decided on the same state at another time.
      const quick = await new Executor(memory, new MemoryMessageIndex(memory)).execute(command);
      open();
      const [stored] = await messagesIn(memory, id);
      expect(accepted(quick).events[0]?.at).toBe(stored?.at);
      expect(await slow).toMatchObject({ kind: 'repeated', message: { at: stored?.at } });
      expect(verifyChain(await storedIn(memory, id))).toMatchObject({ kind: 'intact' });
    });

    it('answers as retryable when the tail cannot be read either, and recovers', async () => {
      const id = await started();
      log.appendFaults = ['stored, unheard'];
      log.readFaults = ['unavailable'];
      const command = send(id);
      expect(await executor.execute(command)).toMatchObject({ kind: 'unavailable' });
      expect(await executor.execute(command)).toMatchObject({ kind: 'repeated', message: { seq: 1 } });
    });
  });

  describe('when the log is down', () => {
    it('answers as retryable, warm or cold, and goes on when it is back', async () => {
      const [id, command] = [await started(), send(await started())];
      log.isDown = true;
      expect(await executor.execute(send(id))).toMatchObject({ kind: 'unavailable' });
      expect(await another().execute(command)).toMatchObject({ kind: 'unavailable' });
      await expect(another().state(id)).rejects.toThrow('down');
      log.isDown = false;
      accepted(await executor.execute(send(id)));
      accepted(await executor.execute(command));
    });

    it('rejects for a bug of the adapter, and recovers', async () => {
      const id = await started();
      log.appendFaults = ['bug'];
      await expect(executor.execute(send(id))).rejects.toThrow(TypeError);
      expect(accepted(await executor.execute(send(id))).events[0]?.seq).toBe(1);
    });
  });

  describe('with another node on the same log', () => {
    it('decides again after a conflict, with the tail alone read', async () => {
      const id = await started();
      const other = another();
      accepted(await other.execute(send(id, { by: BEN })));
      log.reads.length = 0;
      expect(accepted(await executor.execute(send(id))).events[0]?.seq).toBe(2);
      expect(log.reads).toEqual([{ stream: conversationStream(id), limit: READ_EVENTS_MAX }]);
      expect(verifyChain(await storedIn(memory, id))).toMatchObject({ kind: 'intact' });
    });

    it('gives up after so many conflicts in a row', async () => {
      const id = await started();
      const other = new Executor(memory, new MemoryMessageIndex(memory));
      let busy = true;
      log.beforeAppend = async () => {
        if (busy) accepted(await other.execute(send(id, { by: BEN })));
      };
      expect(await executor.execute(send(id))).toMatchObject({ kind: 'unavailable' });
      expect(log.appends).toHaveLength(CONFLICT_ATTEMPTS_MAX);
      busy = false;
      accepted(await executor.execute(send(id)));
    });

    it('refuses nobody on the strength of a state that another node has changed', async () => {
      const id = await started();
      expect(await executor.execute(send(id, { by: STRANGER }))).toMatchObject({ kind: 'refused' });
      const add = { type: 'AddMembers' as const, conversationId: id, by: ANNA, at: send(id).at };
      accepted(await another().execute({ ...add, userIds: [STRANGER] }));
      accepted(await executor.execute(send(id, { by: STRANGER })));
    });

    it('follows what its feed observes, known or not, in whatever order', async () => {
      const id = await started();
      const other = another();
      for (let n = 0; n < 4; n++) accepted(await other.execute(send(id, { by: BEN })));
      const events = await storedIn(memory, id);
      log.reads.length = 0;
      for (const n of [0, 1, 1, 2]) executor.observe(events[n] as LogEvent);
      expect((await executor.state(id))?.head).toBe(2);
      expect(log.reads).toHaveLength(0);
      executor.observe(events[4] as LogEvent);
      expect((await executor.state(id))?.head).toBe(4);
      expect(log.reads).toHaveLength(1);
      executor.observe(events[3] as LogEvent);
      expect(accepted(await executor.execute(send(id))).events[0]?.seq).toBe(5);
      expect(log.reads).toHaveLength(1);
    });

    it('knows its own append also when the feed is faster than the answer', async () => {
      const id = await started();
      log.appendFaults = ['stored, unheard'];
      const sent = executor.execute(send(id));
      log.beforeRead = async () => {
        for (const event of await storedIn(memory, id)) executor.observe(event);
      };
      expect(accepted(await sent).events[0]?.seq).toBe(1);
      expect((await executor.state(id))?.head).toBe(1);
    });
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
const later = <T extends number>(at: T): T => (at + 5_000) as T;
