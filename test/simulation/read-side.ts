import type { LogEvent } from '../../src/application/ports/event-log';
import { MessageIndex, type IndexLookup } from '../../src/application/ports/message-index';
import { ProjectionProgress } from '../../src/application/ports/projection-progress';
import {
  InboxReads,
  type ConversationView,
  type InboxHead,
  type InboxHeads,
  type InboxPage,
} from '../../src/application/ports/read-models';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import type { LookupRequest, StoredMessage } from '../../src/domain/conversation/commands';
import { fromStored } from '../../src/domain/conversation/codec';
import { evolve } from '../../src/domain/conversation/evolve';
import type { ConversationState } from '../../src/domain/conversation/state';
import { conversationOfStream } from '../../src/domain/conversation/streams';
import { asSeq, toSeq, type ConversationId, type Millis, type Seq, type UserId } from '../../src/kernel/ids';
import { furthest, hasPassed, nearest, POSITION_START, type Position } from '../../src/kernel/position';
import type { TrueLog } from './chronicle';
import type { Random } from './random';
import type { Trace } from './trace';
import type { VirtualTime } from './virtual-time';

/** Rows of one conversation, as the inbox and the dedupe index keep them. */
interface Row {
  state: ConversationState;
  activeAt: Millis;
  readonly spans: Map<UserId, { readonly from: Seq; to: Seq | undefined }[]>;
  /** Seqs of messages that are not deleted, and of those that are mentioned in. */
  readonly live: Set<number>;
  readonly keys: Map<string, StoredMessage>;
}

const BATCH_EVENTS_MAX = 20;
const READ_AGAIN_EVENTS = 1_000;
const COMMITS_LOST_MAX = 10;
const MEMBERS_IN_VIEW_MAX = 100;

/**
 * The read models of all nodes and the projector that feeds them, with the meaning of the real projections and none of
 * their SQL: a batch and its checkpoint become visible at once or, when the projector dies, not at all.
 */
export class ReadSide {
  /** `stopped`: rows grow old; `down`: nobody can ask either. */
  mode: 'running' | 'stopped' | 'down' = 'running';
  /** From an event being stored to its row being there, about. */
  lagMs = 5;
  /** Probability that the projector dies between a batch and its checkpoint. */
  crashes = 0;
  private rows = new Map<ConversationId, Row>();
  private checkpoint: Position = POSITION_START;
  /** Where the last batches ended, oldest first: what a crash of the store may fall back to. */
  private commits: Position[] = [POSITION_START];
  private isLosing = false;
  private readonly told = new Set<(position: Position) => void>();
  private readonly waiters = new Set<() => void>();
  private awaken: () => void = () => undefined;

  constructor(
    private readonly log: TrueLog,
    private readonly time: VirtualTime,
    private readonly random: Random,
    trace: Trace,
  ) {
    log.grown = this.wake.bind(this);
    this.project().catch((error: unknown) => {
      trace.broken('13 read model = fold(log)', `the projector stands still: ${String(error)}`);
    });
  }

  get position(): Position {
    return this.checkpoint;
  }

  row(id: ConversationId): Row | undefined {
    return this.rows.get(id);
  }

  all(): IterableIterator<Row> {
    return this.rows.values();
  }

  /** The store dies, and comes back as it was some commits ago, of which everybody has heard. */
  crash(): void {
    this.mode = 'down';
    this.isLosing = true;
    this.wake();
  }

  /** Of every commit, as far as it has come. */
  onCommit(tell: (position: Position) => void): void {
    this.told.add(tell);
  }

  /** A query's way to the store and back. @throws StoreUnavailable */
  async query<T>(read: () => T): Promise<T> {
    await this.time.sleep(this.random.delayMs(1));
    if (this.mode === 'down') throw new StoreUnavailable('the read models are away');
    return read();
  }

  /** True as soon as `isThere`; false when `timeoutMs` run out first. */
  async wait(isThere: () => boolean, timeoutMs: number): Promise<boolean> {
    if (await this.query(isThere)) return true;
    return new Promise((resolve) => {
      const end = (result: boolean): void => {
        this.waiters.delete(look);
        this.time.clear(timer);
        resolve(result);
      };
      const look = (): void => {
        if (isThere()) end(true);
      };
      const timer = this.time.after(timeoutMs, () => {
        end(false);
      });
      this.waiters.add(look);
    });
  }

  /** Looks again when the log has grown, or the projector may run again. */
  wake(): void {
    this.awaken();
  }

  private async project(): Promise<void> {
    for (;;) {
      await this.time.sleep(1 + this.random.delayMs(this.lagMs));
      if (this.isLosing) await this.lose();
      if (this.mode !== 'running') {
        await this.sleepUntilWoken();
        continue;
      }
      const page = await this.log.readAll({
        limit: this.random.between(1, BATCH_EVENTS_MAX),
        ...(this.checkpoint === POSITION_START ? {} : { after: this.checkpoint }),
      });
      if (page.events.length === 0) {
        await this.sleepUntilWoken();
        continue;
      }
      if (this.random.chance(this.crashes)) continue;
      for (const event of page.events) apply(event, this.rows);
      this.checkpoint = page.next;
      this.commits = [...this.commits, page.next].slice(-COMMITS_LOST_MAX);
      for (const tell of this.told) tell(page.next);
      for (const look of [...this.waiters]) look();
    }
  }

  private async lose(): Promise<void> {
    this.isLosing = false;
    this.commits = this.commits.slice(0, this.random.between(1, this.commits.length));
    const goal = this.commits.at(-1) ?? POSITION_START;
    const rows = new Map<ConversationId, Row>();
    for (let after = POSITION_START; !hasPassed(after, goal);) {
      const page = await this.log.readAll({
        limit: READ_AGAIN_EVENTS,
        ...(after === POSITION_START ? {} : { after }),
      });
      for (const event of page.events) if (hasPassed(goal, event.position)) apply(event, rows);
      after = page.next;
    }
    [this.rows, this.checkpoint] = [rows, goal];
  }

  private sleepUntilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.awaken = resolve;
    });
  }
}

function apply(stored: LogEvent, rows: Map<ConversationId, Row>): void {
  const id = conversationOfStream(stored.stream);
  const recorded = id === undefined ? undefined : fromStored(id, { ...stored, seq: toSeq(stored.revision) });
  if (recorded === undefined) return;
  const { conversationId, event, seq, at } = recorded;
  const known = rows.get(conversationId);
  const state = evolve(known?.state, recorded);
  const row: Row = known ?? { state, activeAt: at, spans: new Map(), live: new Set(), keys: new Map() };
  row.state = state;
  rows.set(conversationId, row);
  if (event.type === 'ConversationStarted') {
    for (const userId of event.memberIds) row.spans.set(userId, [{ from: seq, to: undefined }]);
  } else if (event.type === 'MembershipChanged') {
    const spans = row.spans.get(event.userId) ?? [];
    row.spans.set(event.userId, spans);
    const last = spans.at(-1);
    if (event.change === 'joined') spans.push({ from: seq, to: undefined });
    else if ((event.change === 'left' || event.change === 'removed') && last !== undefined) last.to = seq;
  } else if (event.type === 'MessageSent') {
    const { by, clientMessageId, messageId, ordinal, contentHash } = event;
    row.live.add(seq);
    row.activeAt = at;
    row.keys.set(`${by}/${clientMessageId}`, { messageId, seq, ordinal, at, contentHash });
  } else if (event.type === 'MessageDeleted') row.live.delete(event.target);
}

/** Remembers what it was told: most waits end before they begin. */
export class LaggingProgress extends ProjectionProgress {
  private known: Position = POSITION_START;

  constructor(private readonly readSide: ReadSide) {
    super();
    readSide.onCommit((position) => {
      this.known = furthest(position, this.known);
    });
  }

  async waitForPosition(position: Position, timeoutMs: number): Promise<boolean> {
    if (hasPassed(this.known, position)) return true;
    return this.readSide.wait(() => hasPassed(this.readSide.position, position), timeoutMs);
  }

  disbelieve(found: Position): void {
    this.known = nearest(found, this.known);
  }

  waitForSeq(id: ConversationId, seq: Seq, timeoutMs: number): Promise<boolean> {
    return this.readSide.wait(() => (this.readSide.row(id)?.state.head ?? -1) >= seq, timeoutMs);
  }
}

/** The permanent index: never older than what it is asked to hold, or it says so. */
export class LaggingIndex extends MessageIndex {
  constructor(private readonly readSide: ReadSide) {
    super();
  }

  find(id: ConversationId, { by, clientMessageId, after }: LookupRequest): Promise<IndexLookup> {
    return this.readSide.query(() => {
      const keys = this.readSide.row(id)?.keys;
      if (after !== undefined && keys?.has(`${after.by}/${after.clientMessageId}`) !== true)
        return { kind: 'behind' };
      return { kind: 'answer', found: keys?.get(`${by}/${clientMessageId}`) };
    });
  }
}

export class LaggingInbox extends InboxReads {
  constructor(private readonly readSide: ReadSide) {
    super();
  }

  heads(userId: UserId): Promise<InboxHeads> {
    return this.readSide.query(() => ({
      items: [...this.readSide.all()]
        .map((row) => headOf(row, userId))
        .filter((head) => head !== undefined)
        .sort((a, b) => b.activeAt - a.activeAt),
      asOf: this.readSide.position,
    }));
  }

  head(userId: UserId, id: ConversationId): Promise<InboxHead | undefined> {
    return this.readSide.query(() => {
      const row = this.readSide.row(id);
      return row === undefined ? undefined : headOf(row, userId);
    });
  }

  conversations(userId: UserId, ids: readonly ConversationId[]): Promise<readonly ConversationView[]> {
    return this.readSide.query(() =>
      ids.flatMap((id) => {
        const row = this.readSide.row(id);
        const view = row === undefined ? undefined : viewOf(row, userId);
        return view === undefined ? [] : [view];
      }),
    );
  }

  async conversation(userId: UserId, id: ConversationId): Promise<ConversationView | undefined> {
    return (await this.conversations(userId, [id]))[0];
  }

  page(): Promise<InboxPage | 'bad_cursor'> {
    throw new Error('no device pages through its inbox here');
  }

  members(): Promise<never> {
    throw new Error('no device lists members here');
  }
}

function headOf({ state, activeAt, spans }: Row, userId: UserId): InboxHead | undefined {
  const mine = spans.get(userId);
  if (mine === undefined) return undefined;
  return {
    conversationId: state.conversationId,
    headSeq: state.head,
    activeAt,
    historyVisibility: state.settings.historyVisibility,
    spans: mine.map((span) => ({ ...span })),
  };
}

function viewOf({ state, activeAt, live }: Row, userId: UserId): ConversationView | undefined {
  const me = state.members.get(userId);
  if (me === undefined) return undefined;
  const seen = Math.max(me.readUpTo, me.joinedSeq);
  return {
    id: state.conversationId,
    kind: state.kind,
    ...(state.title === undefined ? {} : { title: state.title }),
    members: [...state.members]
      .slice(0, MEMBERS_IN_VIEW_MAX)
      .map(([id, { role, joinedAt }]) => ({ userId: id, role, joinedAt })),
    memberCount: state.members.size,
    settings: state.settings,
    headSeq: state.head,
    lastOrdinal: state.lastOrdinal,
    lastMessage: null,
    unreadCount: [...live].filter((seq) => seq > seen).length,
    mentionCount: 0,
    readUpTo: me.readUpTo === -1 ? -1 : asSeq(me.readUpTo),
    createdAt: state.createdAt,
    activeAt,
  };
}
