import type { EventLog } from '../../src/application/ports/event-log';
import { ProjectionProgress } from '../../src/application/ports/projection-progress';
import {
  InboxReads,
  type ConversationView,
  type InboxHead,
  type InboxHeads,
  type InboxPage,
} from '../../src/application/ports/read-models';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import { fromStored } from '../../src/domain/conversation/codec';
import type { Recorded } from '../../src/domain/conversation/events';
import { DEFAULT_SETTINGS, withSettings } from '../../src/domain/conversation/settings';
import { asConversationId, toSeq, type ConversationId, type Seq, type UserId } from '../../src/kernel/ids';
import { hasPassed, POSITION_START, type Position } from '../../src/kernel/position';

/**
 * `stuck`: never gets past what it has seen; `down`: cannot be asked; `reset`: no longer has what it was said to have,
 * until somebody has noticed.
 */
type ProjectionMode = 'live' | 'stuck' | 'down' | 'reset';

interface Folded {
  head: InboxHead;
  readonly spans: Map<UserId, { from: Seq; to: Seq | undefined }[]>;
}

/** The inbox as a plain fold of the log, as far as it is allowed to see. */
export class FoldedInbox extends InboxReads {
  mode: ProjectionMode = 'live';
  headsAsked = 0;
  private next = POSITION_START;
  private readonly folded = new Map<ConversationId, Folded>();

  constructor(private readonly log: EventLog) {
    super();
  }

  get reached(): Position {
    return this.next;
  }

  async catchUp(): Promise<void> {
    for (;;) {
      const { events, next } = await this.log.readAll({ after: this.next, limit: 1_000 });
      for (const { stream, type, data, metadata, revision } of events) {
        if (!stream.startsWith('conversation-')) continue;
        const id = asConversationId(stream.slice('conversation-'.length));
        const recorded = fromStored(id, { type, data, metadata, seq: toSeq(revision) });
        if (recorded !== undefined) this.fold(recorded);
      }
      if (events.length === 0) return;
      this.next = next;
    }
  }

  private fold(recorded: Recorded): void {
    const { conversationId, seq, at, event } = recorded;
    const known = this.folded.get(conversationId);
    const historyVisibility = (): 'joined' | 'shared' => {
      const change =
        event.type === 'ConversationStarted' || event.type === 'ConversationChanged' ? event.settings : {};
      const before = known?.head.historyVisibility ?? 'joined';
      return withSettings({ ...DEFAULT_SETTINGS, historyVisibility: before }, change).historyVisibility;
    };
    const head: InboxHead = {
      conversationId,
      headSeq: seq,
      activeAt: at,
      historyVisibility: historyVisibility(),
      spans: [],
    };
    const folded: Folded = known ?? { head, spans: new Map() };
    folded.head = head;
    this.folded.set(conversationId, folded);
    if (event.type === 'ConversationStarted') {
      for (const userId of event.memberIds) folded.spans.set(userId, [{ from: seq, to: undefined }]);
    }
    if (event.type !== 'MembershipChanged') return;
    const spans = folded.spans.get(event.userId) ?? [];
    folded.spans.set(event.userId, spans);
    if (event.change === 'joined') spans.push({ from: seq, to: undefined });
    const last = spans.at(-1);
    if ((event.change === 'left' || event.change === 'removed') && last !== undefined) last.to = seq;
  }

  private headOf(userId: UserId, { head, spans }: Folded): InboxHead | undefined {
    const mine = spans.get(userId);
    return mine === undefined ? undefined : { ...head, spans: mine.map((span) => ({ ...span })) };
  }

  async heads(userId: UserId): Promise<InboxHeads> {
    this.headsAsked++;
    await this.see();
    const items = [...this.folded.values()]
      .map((folded) => this.headOf(userId, folded))
      .filter((head) => head !== undefined)
      .sort((a, b) => b.activeAt - a.activeAt);
    return { items, asOf: this.next };
  }

  async head(userId: UserId, id: ConversationId): Promise<InboxHead | undefined> {
    await this.see();
    const folded = this.folded.get(id);
    return folded === undefined ? undefined : this.headOf(userId, folded);
  }

  async conversations(userId: UserId, ids: readonly ConversationId[]): Promise<readonly ConversationView[]> {
    await this.see();
    return ids.flatMap((id) => {
      const folded = this.folded.get(id);
      const isMember = folded?.spans.get(userId)?.at(-1)?.to === undefined;
      return folded === undefined || !isMember ? [] : [viewOf(id, folded.head)];
    });
  }

  page(): Promise<InboxPage | 'bad_cursor'> {
    throw new Error('sync does not page');
  }

  conversation(): Promise<ConversationView | undefined> {
    throw new Error('sync asks for many at once');
  }

  members(): Promise<never> {
    throw new Error('sync does not list members');
  }

  private async see(): Promise<void> {
    await Promise.resolve();
    if (this.mode === 'down') throw new StoreUnavailable('down');
    if (this.mode === 'live') await this.catchUp();
  }
}

const viewOf = (id: ConversationId, { headSeq, activeAt }: InboxHead): ConversationView => ({
  id,
  kind: 'group',
  members: [],
  memberCount: 0,
  settings: DEFAULT_SETTINGS,
  headSeq,
  lastOrdinal: 0,
  lastMessage: null,
  unreadCount: 0,
  mentionCount: 0,
  readUpTo: -1,
  createdAt: activeAt,
  activeAt,
});

export class FoldedProgress extends ProjectionProgress {
  constructor(private readonly inbox: FoldedInbox) {
    super();
  }

  async waitForPosition(goal: Position): Promise<boolean> {
    if (this.inbox.mode === 'down') throw new StoreUnavailable('down');
    if (this.inbox.mode === 'live') await this.inbox.catchUp();
    if (this.inbox.mode === 'reset') return true;
    return this.inbox.mode === 'live' && hasPassed(this.inbox.reached, goal);
  }

  disbelieve(): void {
    this.inbox.mode = 'live';
  }

  waitForSeq(): Promise<boolean> {
    throw new Error('sync waits for positions');
  }
}
