import { FaultyEventLog } from '../infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../infrastructure/memory/memory-message-index';
import { asConversationId, asEventId, asSeq, toRevision } from '../kernel/ids';
import { uuidv7 } from '../kernel/uuid';
import { toSnapshot } from '../domain/conversation/snapshot';
import { conversationStream, snapshotStream } from '../domain/conversation/streams';
import { verifyChain } from './audit-chain';
import { Executor } from './executor';
import { SNAPSHOT_EVERY } from './executor/snapshot-writer';
import { accepted, group, send, storedIn } from '../../test/support/conversation-commands';
import { READ_EVENTS_MAX, type LogEvent, type ReadStreamOptions, type StreamRead } from './ports/event-log';
import { StoreUnavailable } from './ports/store-unavailable';

/** A log whose first answer about one stream is on its way for long. */
class SlowAnswers extends FaultyEventLog {
  answer: () => void = () => undefined;
  readonly hasRead: Promise<void>;
  private read: () => void = () => undefined;
  private readonly answered = new Promise<void>((resolve) => {
    this.answer = resolve;
  });

  constructor(
    log: MemoryEventLog,
    private readonly stream: string,
  ) {
    super(log);
    this.hasRead = new Promise((resolve) => {
      this.read = resolve;
    });
  }

  override async readStream(stream: string, options: ReadStreamOptions): Promise<StreamRead> {
    const read = await super.readStream(stream, options);
    if (stream !== this.stream) return read;
    this.read();
    await this.answered;
    return read;
  }
}

describe('Executor, loading conversations', () => {
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

  it('reads the last snapshot and the tail alone, however long the conversation is', async () => {
    const id = await started();
    for (let n = 0; n < 5; n++) {
      const batch = Array.from({ length: 200 }, () => executor.execute(send(id)));
      for (const outcome of await Promise.all(batch)) accepted(outcome);
      await executor.state(id);
    }
    await executor.close();
    const snapshots = await memory.readStream(snapshotStream(id), { limit: 10 });
    if (snapshots.kind !== 'events') throw new Error('no snapshot');
    expect(snapshots.events).toHaveLength(1);
    const { head } = snapshots.events[0]?.data as { head: number };
    expect(head).toBeGreaterThanOrEqual(SNAPSHOT_EVERY - 1);

    log.reads.length = 0;
    const cold = another();
    const sent = accepted(await cold.execute(send(id)));
    expect(sent.events[0]).toMatchObject({ seq: 1_001, event: { ordinal: 1_001 } });
    expect(log.reads).toEqual([
      { stream: snapshotStream(id), limit: 1 },
      { stream: conversationStream(id), limit: READ_EVENTS_MAX },
    ]);
    log.reads.length = 0;
    accepted(await cold.execute(send(id)));
    expect(log.reads).toEqual([]);
    expect(verifyChain(await storedIn(memory, id))).toMatchObject({ kind: 'intact' });
    await cold.close();
  });

  it('comes to the same state with and without the snapshot', async () => {
    const id = await started();
    const sent = Array.from({ length: SNAPSHOT_EVERY }, () => executor.execute(send(id)));
    await Promise.all(sent);
    await executor.close();
    const from = await another().state(id);
    await memory.append(
      snapshotStream(id),
      [{ id: asEventId(uuidv7()), type: 'ConversationSnapshot', data: { format: -1 }, metadata: {} }],
      { expected: 'any' },
    );
    const whole = await another().state(id);
    expect(from?.head).toBe(SNAPSHOT_EVERY);
    expect(from).toEqual(whole);
  });

  it('does not believe a snapshot of another story', async () => {
    const id = await started();
    const other = group();
    await executor.execute(other);
    const state = await executor.state(other.conversationId);
    if (state === undefined) throw new Error('started');
    const data = toSnapshot({ ...state, title: 'forged' }, 'f'.repeat(64));
    const event = { id: asEventId(uuidv7()), type: 'ConversationSnapshot', data, metadata: {} };
    await memory.append(snapshotStream(id), [event], { expected: 'any' });
    expect((await another().state(id))?.title).toBe('Plans');
  });

  it('reads a conversation once, whoever asks at the same time', async () => {
    const id = await started();
    const cold = another();
    await Promise.all([cold.state(id), cold.state(id), cold.execute(send(id))]);
    expect(log.reads.map(({ stream }) => stream)).toEqual([snapshotStream(id), conversationStream(id)]);
  });

  it('knows at least what is asked for, although a read that began before is under way', async () => {
    const id = await started();
    const slow = new SlowAnswers(memory, conversationStream(id));
    const cold = new Executor(slow, new MemoryMessageIndex(memory));
    const early = cold.state(id);
    await slow.hasRead;
    accepted(await executor.execute(send(id)));
    const late = cold.state(id, asSeq(1));
    slow.answer();
    expect((await early)?.head).toBe(0);
    expect((await late)?.head).toBe(1);
    await cold.close();
  });

  it('puts a conversation out of service that holds an event it does not know, and no other', async () => {
    const [id, other] = [await started(), await started()];
    const event = { id: asEventId(uuidv7()), type: 'PollOpened', data: {}, metadata: { hash: '', at: '' } };
    await memory.append(conversationStream(id), [event], { expected: toRevision(asSeq(0)) });
    expect(await executor.execute(send(id))).toMatchObject({ kind: 'unavailable' });
    await expect(executor.state(id)).rejects.toThrow(/unknown event type PollOpened at 1/);
    await expect(another().state(id)).rejects.toThrow(StoreUnavailable);
    executor.observe((await storedIn(memory, id))[1] as LogEvent);
    expect(await executor.execute(send(id))).toMatchObject({ kind: 'unavailable' });
    accepted(await executor.execute(send(other)));
    expect(await storedIn(memory, id)).toHaveLength(2);
  });

  it('answers strangers’ made-up ids without keeping anything', async () => {
    const id = asConversationId(uuidv7());
    expect(await executor.execute(send(id))).toMatchObject({
      kind: 'refused',
      refusal: { code: 'not_found' },
    });
    expect(await executor.state(id)).toBeUndefined();
    expect(executor.laneCount).toBe(0);
  });
});
