import type { Outcome } from '../../src/application/outcome';
import { Executor } from '../../src/application/executor';
import type { EventLog } from '../../src/application/ports/event-log';
import { MessageIndex, type IndexLookup } from '../../src/application/ports/message-index';
import type { RelayBus } from '../../src/application/ports/relay-bus';
import type { Config } from '../../src/config/config';
import { ActivityHints } from '../../src/delivery/activity-hints';
import { Audiences } from '../../src/delivery/audiences';
import type { Answered, Connection, Push } from '../../src/delivery/connection';
import { ConversationLanes } from '../../src/delivery/conversation-lanes';
import { FanOut } from '../../src/delivery/fan-out';
import { Feed } from '../../src/delivery/feed';
import { GapReader } from '../../src/delivery/gap-reader';
import { Hub } from '../../src/delivery/hub';
import { ReceiptSummaries } from '../../src/delivery/receipt-summaries';
import { RelayIntake } from '../../src/delivery/relay/intake';
import { SyncService } from '../../src/delivery/sync';
import { AwayDebts } from '../../src/delivery/sync-away';
import { SyncDebts } from '../../src/delivery/sync-debts';
import { SyncFromLog } from '../../src/delivery/sync-from-log';
import { SyncInbox } from '../../src/delivery/sync-inbox';
import type { ConversationCommand } from '../../src/domain/conversation/commands';
import { fromStored } from '../../src/domain/conversation/codec';
import type { Recorded } from '../../src/domain/conversation/events';
import { conversationStream } from '../../src/domain/conversation/streams';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { SystemClock } from '../../src/kernel/clock';
import { uuidv7 } from '../../src/kernel/uuid';
import {
  asClientMessageId,
  asConversationId,
  asDeviceId,
  asMessageId,
  asSeq,
  asUserId,
  type ConversationId,
  type Seq,
  type UserId,
} from '../../src/kernel/ids';
import type { EventFrame } from '../../src/protocol/events';
import type { ServerFrame, ServerFrameData } from '../../src/protocol/frames';
import { DEFAULT_LIMITS, type Limits } from '../../src/protocol/limits';
import { Metrics } from '../../src/observability/metrics';
import { FoldedInbox, FoldedProgress } from './folded-inbox';

/** `n` as the last digits of a UUID of ours. */
const uuid = (kind: string, n: number): string =>
  `00000000-0000-7000-8000-${kind}${String(n).padStart(11, '0')}`;
export const userOf = (n: number): UserId => asUserId(uuid('a', n));
export const conversationOf = (n: number): ConversationId => asConversationId(uuid('c', n));

/** A socket that takes everything at once, and keeps the promises of `Connection` in their simplest form. */
export class RecordingConnection implements Connection {
  readonly sessionId: string;
  readonly deviceId;
  readonly openedAt: number;
  readonly events: EventFrame[] = [];
  readonly answers: ServerFrame[] = [];
  readonly hints: ServerFrame[] = [];
  /** Everything received, in order. */
  readonly received: (EventFrame | ServerFrame)[] = [];
  closed: string | undefined;
  focused: ConversationId | undefined;
  /** Called before an answer is taken: a slow socket. */
  beforeAnswer: () => Promise<void> = () => Promise.resolve();
  /** What the last sync was about. */
  answered: Answered | undefined;
  owed: readonly ConversationId[] = [];
  private held: Push[] | undefined;
  private readonly last = new Map<ConversationId, Seq>();
  private readonly withheld = new Map<ConversationId, Seq>();

  constructor(
    readonly userId: UserId,
    device = 'phone',
  ) {
    this.openedAt = performance.now();
    this.deviceId = asDeviceId(device);
    this.sessionId = `${userId}/${device}`;
  }

  push(push: Push): void {
    if (this.held !== undefined) this.held.push(push);
    else this.take(push);
  }

  withhold(conversationId: ConversationId, seq: Seq): void {
    this.withheld.set(conversationId, seq);
  }

  catchUp(conversationId: ConversationId): void {
    if (!this.withheld.delete(conversationId)) return;
    const frame: ServerFrame = { event: 'resync', data: { conversationIds: [conversationId] } };
    this.answers.push(frame);
    this.received.push(frame);
  }

  hint(bytes: Buffer): void {
    this.hints.push(JSON.parse(bytes.toString()) as ServerFrame);
  }

  async answer(frame: ServerFrame): Promise<void> {
    await this.beforeAnswer();
    this.answers.push(frame);
    this.received.push(frame);
  }

  hold(): void {
    this.held = [];
  }

  release(synced: (conversationId: ConversationId) => Seq | undefined, answered: Answered): void {
    this.answered = answered;
    const held = this.held ?? [];
    this.held = undefined;
    for (const [id, seq] of this.withheld) if (seq <= (synced(id) ?? -1)) this.withheld.delete(id);
    for (const push of held) if (push.seq > (synced(push.conversationId) ?? -1)) this.take(push);
  }

  close(reason: string): void {
    this.closed = reason;
  }

  get isHeld(): boolean {
    return this.held !== undefined;
  }

  /** The conversations of all pages, in order. */
  get pages(): ServerFrameData<'sync.page'>['conversations'] {
    return this.answers.flatMap((frame) => (frame.event === 'sync.page' ? frame.data.conversations : []));
  }

  seqsOf(id: ConversationId): number[] {
    return this.events.filter(({ data }) => data.conversationId === id).map(({ data }) => data.seq);
  }

  private take(push: Push): void {
    const last = this.last.get(push.conversationId) ?? -1;
    if (push.seq <= last) return;
    this.catchUp(push.conversationId);
    this.last.set(push.conversationId, push.seq);
    const frame = JSON.parse(push.bytes.toString()) as EventFrame;
    this.events.push(frame);
    this.received.push(frame);
  }
}

class EmptyIndex extends MessageIndex {
  find(): Promise<IndexLookup> {
    return Promise.resolve({ kind: 'answer', found: undefined });
  }
}

export const configOf = (limits: Partial<Limits> = {}): Config =>
  ({ limits: { ...DEFAULT_LIMITS, ...limits } }) as Config;

/** One node's delivery over a log in memory. Several worlds over one log are several nodes. */
export class DeliveryWorld {
  readonly clock = new SystemClock();
  readonly metrics = new Metrics();
  readonly executor: Executor;
  readonly hub: Hub;
  readonly audiences: Audiences;
  readonly summaries: ReceiptSummaries;
  readonly activity: ActivityHints;
  readonly lanes: ConversationLanes;
  readonly fanOut: FanOut;
  readonly feed: Feed;
  readonly inbox: FoldedInbox;
  readonly debts: SyncDebts;
  readonly awayDebts: AwayDebts;
  readonly sync: SyncService;

  constructor(
    readonly log: EventLog = new MemoryEventLog(),
    limits: Partial<Limits> = {},
    /** What the read models see of the log. */
    readLog: EventLog = log,
  ) {
    const config = configOf(limits);
    this.executor = new Executor(log, new EmptyIndex());
    this.hub = new Hub(config);
    this.audiences = new Audiences(log);
    this.summaries = new ReceiptSummaries(this.executor, this.hub);
    this.activity = new ActivityHints(this.hub);
    this.fanOut = new FanOut(this.hub, this.clock, this.metrics, this.summaries, this.activity);
    this.lanes = new ConversationLanes(this.audiences, this.fanOut);
    this.feed = new Feed(log, this.executor, this.lanes, this.clock, this.metrics);
    this.inbox = new FoldedInbox(readLog);
    const reader = new GapReader(log);
    const syncInbox = new SyncInbox(this.inbox, new FoldedProgress(this.inbox), reader);
    this.debts = new SyncDebts(this.hub, syncInbox);
    this.awayDebts = new AwayDebts(this.hub, reader);
    const fromLog = new SyncFromLog(this.executor, reader);
    this.sync = new SyncService(
      config,
      log,
      this.feed,
      this.hub,
      syncInbox,
      fromLog,
      this.debts,
      this.awayDebts,
      this.metrics,
    );
  }

  /** From now on the node also listens to relays. */
  listen(bus: RelayBus): RelayIntake {
    const { log, hub, feed, fanOut, executor, metrics } = this;
    const intake = new RelayIntake(bus, log, hub, feed, fanOut, executor, metrics);
    intake.start();
    return intake;
  }

  connect(userId: UserId, device?: string): RecordingConnection {
    const connection = new RecordingConnection(userId, device);
    this.hub.register(connection, 'sign-in');
    return connection;
  }

  /** Everything that is in the log by now has been handed to the sockets. */
  async settle(): Promise<void> {
    const { events } = await this.log.readAll({
      direction: 'backwards',
      limit: 1,
      filter: { streamPrefixes: ['conversation-'] },
    });
    const [last] = events;
    if (last !== undefined && !(await this.feed.waitFor(last.position, 30_000))) {
      throw new Error('the feed does not settle');
    }
  }

  async stop(): Promise<void> {
    this.debts.stop();
    this.awayDebts.stop();
    this.summaries.onApplicationShutdown();
    this.activity.onApplicationShutdown();
    await this.feed.stop();
    await this.executor.close();
  }

  /** The whole conversation, from the log itself. */
  async recorded(id: ConversationId): Promise<Recorded[]> {
    const all: Recorded[] = [];
    for (;;) {
      const read = await this.log.readStream(conversationStream(id), {
        from: BigInt(all.length) as never,
        limit: 1_000,
      });
      if (read.kind !== 'events' || read.events.length === 0) return all;
      for (const { type, data, metadata, revision } of read.events) {
        const recorded = fromStored(id, { type, data, metadata, seq: asSeq(Number(revision)) });
        if (recorded !== undefined) all.push(recorded);
      }
    }
  }
}

/** Writes conversations through the executor, as handlers do; users by number. */
export class Author {
  private messages = 0;

  constructor(
    private readonly world: DeliveryWorld,
    readonly id: ConversationId,
  ) {}

  start(memberIds: readonly number[], settings: { historyVisibility?: 'joined' | 'shared' } = {}) {
    return this.execute({
      type: 'StartConversation',
      by: userOf(memberIds[0] ?? 0),
      kind: 'group',
      memberIds: memberIds.map(userOf),
      settings: { whoMayInvite: 'everyone', ...settings },
    });
  }

  say(by: number, body = `message ${this.messages}`) {
    this.messages++;
    const clientMessageId = asClientMessageId(uuidv7());
    return this.execute({
      type: 'SendMessage',
      by: userOf(by),
      clientMessageId,
      messageId: asMessageId(uuidv7()),
      content: { type: 'text', body },
      contentHash: body,
    });
  }

  add(by: number, userId: number) {
    return this.execute({ type: 'AddMembers', by: userOf(by), userIds: [userOf(userId)] });
  }

  /** Removing oneself is leaving. */
  remove(by: number, userId: number) {
    return this.execute({ type: 'RemoveMember', by: userOf(by), userId: userOf(userId) });
  }

  read(by: number, upTo: number) {
    return this.execute({
      type: 'RecordRead',
      by: userOf(by),
      cursors: [{ userId: userOf(by), upTo: asSeq(upTo) }],
    });
  }

  private execute(command: Record<string, unknown>): Promise<Outcome> {
    const at = this.world.clock.now();
    return this.world.executor.execute({ conversationId: this.id, at, ...command } as ConversationCommand);
  }
}
