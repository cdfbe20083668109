import { Inject, Injectable } from '@nestjs/common';
import { EventLog, EventLogUnavailable, ShardAway } from '../application/ports/event-log';
import type { InboxHead } from '../application/ports/read-models';
import { CONFIG, type Config } from '../config/config';
import { conversationStream } from '../domain/conversation/streams';
import { asConversationId, asSeq, type ConversationId, type Seq } from '../kernel/ids';
import { formatPosition, ofShard, placeIn, without, type Position } from '../kernel/position';
import { Metrics } from '../observability/metrics';
import { problem, type FieldError, type Problem } from '../protocol/errors';
import type { ClientFrameData } from '../protocol/frames';
import { SYNC_RECENT_DEFAULT, SYNC_WINDOW_DEFAULT } from '../protocol/limits';
import type { Answered, Connection } from './connection';
import { Feed } from './feed';
import { Hub } from './hub';
import { mapInOrder } from './limiter';
import { AwayDebts } from './sync-away';
import { SyncDebts } from './sync-debts';
import { SyncFromLog } from './sync-from-log';
import { SyncInbox } from './sync-inbox';
import { SyncPages, type SyncEntry } from './sync-pages';
import { planSync, unseenOf, type Gap } from './sync-plan';

/** How long a `sync` waits for the read models before it answers from the log alone. */
const SYNC_PROGRESS_WAIT_MS = 5_000;
/** Conversations read for one device at once. */
const SYNC_READS_MAX = 8;
/** Conversations whose summaries are asked for in one query. */
const SYNC_SUMMARIES_MAX = 100;

const RETRY_AFTER_MS = 1_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

type Cursors = ReadonlyMap<ConversationId, Seq>;

const NONE: ReadonlySet<ConversationId> = new Set();

interface Request {
  readonly connection: Connection;
  readonly position: Position;
  readonly cursors: Cursors;
  readonly recent: number;
  readonly window: number;
  /** Summaries that an earlier answer on this connection should have held. */
  readonly owed: ReadonlySet<ConversationId>;
  /** Those that this one should have held. */
  readonly unsummarised: Set<ConversationId>;
  /** Conversations that lie in a shard that is away, by shard. */
  readonly leftOut: Map<number, Set<ConversationId>>;
}

/** Ends a `sync` whose device has gone: nobody is left to answer. */
class DeviceGone extends Error {
  override readonly name = 'DeviceGone';
}

/**
 * What a device missed (PROTOCOL.md section 3, DESIGN.md section 5 "sync without a gap"). Events are of three kinds: handed
 * out before the connection was held, which lie at or before the noted position and are therefore in the read
 * models that are asked next; read from the streams; and pushed since, which wait until the answer is out. What
 * belongs to two of them is dropped by its seq.
 */
@Injectable()
export class SyncService {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly log: EventLog,
    private readonly feed: Feed,
    private readonly hub: Hub,
    private readonly inbox: SyncInbox,
    private readonly fromLog: SyncFromLog,
    private readonly debts: SyncDebts,
    private readonly awayDebts: AwayDebts,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Answers with `sync.page` frames and `sync.done`, then lets the waiting pushes follow.
   *
   * A conversation that lies in a shard that is away is left out, and the device is told to `resync` it when the shard is
   * back, or before anything of it is pushed.
   *
   * @returns a refusal for the gateway to answer with: `invalid_input` (nothing was done) or `unavailable` (the
   * log cannot be read; pages may have been sent, and the device asks again)
   */
  async sync(
    connection: Connection,
    data: ClientFrameData<'sync'>,
    frameId: string | undefined,
  ): Promise<Problem | undefined> {
    const wrong = this.check(data);
    if (wrong !== undefined) return wrong;
    const synced = new Map<ConversationId, Seq>();
    let answered: Answered = 'nothing';
    connection.hold();
    try {
      const answer = await this.answer(connection, data, frameId, synced);
      if (typeof answer === 'object') return answer;
      answered = answer;
      return undefined;
    } catch (error) {
      if (error instanceof DeviceGone) return undefined;
      if (error instanceof EventLogUnavailable) return unavailable('The log cannot be read at the moment.');
      throw error;
    } finally {
      connection.release((id) => synced.get(id), answered);
    }
  }

  private check(data: ClientFrameData<'sync'>): Problem | undefined {
    const ids = Object.keys(data.cursors ?? {});
    const { syncCursorsMax } = this.config.limits;
    if (ids.length > syncCursorsMax) {
      return invalid({ field: 'cursors', message: `must hold at most ${syncCursorsMax} cursors` });
    }
    const strange = ids.find((id) => !UUID.test(id));
    return strange === undefined
      ? undefined
      : invalid({ field: `cursors.${strange.slice(0, 64)}`, message: 'must be named by a conversation id' });
  }

  private async answer(
    connection: Connection,
    data: ClientFrameData<'sync'>,
    frameId: string | undefined,
    synced: Map<ConversationId, Seq>,
  ): Promise<Problem | Answered> {
    // Noted before a relay knows of the device, it would promise more than is pushed.
    if (this.feed.relayed.isAny) await this.feed.covered();
    const position = this.feed.position;
    if (position === undefined) return unavailable('This node has not reached the log yet.');
    const epoch = await this.log.epoch();
    const epochChanged =
      data.epoch === undefined || data.epoch === epoch ? {} : { epochChanged: true as const };
    const id = frameId === undefined ? {} : { id: frameId };
    const pages = new SyncPages(
      async (conversations) => {
        if (!this.hub.has(connection)) throw new DeviceGone();
        await connection.answer({ event: 'sync.page', data: { conversations, ...epochChanged }, ...id });
      },
      (conversationId, upTo) => synced.set(conversationId, upTo),
    );
    const request: Request = {
      connection,
      position,
      cursors: epochChanged.epochChanged === true ? new Map() : cursorsOf(data),
      recent: data.recent ?? SYNC_RECENT_DEFAULT,
      window: data.window ?? SYNC_WINDOW_DEFAULT,
      owed: this.debts.summariesOwed(connection),
      unsummarised: new Set(),
      leftOut: new Map(),
    };
    const answered = await this.fill(pages, request);
    await pages.flush();
    this.awayDebts.owe(connection, request.leftOut);
    this.metrics.syncEvents.observe(pages.events);
    const done = { epoch, position: formatPosition(position), ...epochChanged };
    await connection.answer({ event: 'sync.done', data: done, ...id });
    return answered;
  }

  private async fill(pages: SyncPages, request: Request): Promise<Answered> {
    const { position, connection } = request;
    const askedAt = performance.now();
    // Read models cannot get further in a shard that is away, and the others are not to wait for it.
    const goal = without(position, this.log.away);
    const { userId } = connection;
    const had = withoutOwed(request);
    const found = await this.inbox.headsFrom(userId, goal, SYNC_PROGRESS_WAIT_MS, had);
    this.metrics.syncWaitMs.observe(performance.now() - askedAt);
    const { heads, isBehind, leavesOut } = found;
    if (heads !== undefined && !isBehind) return this.fillFromInbox(pages, request, heads, leavesOut);
    return this.fillFromLog(pages, request, heads ?? []);
  }

  private async fillFromInbox(
    pages: SyncPages,
    request: Request,
    heads: readonly InboxHead[],
    leavesOut: true | undefined,
  ): Promise<Answered> {
    const { connection, cursors, recent, window, owed, unsummarised } = request;
    const { userId } = connection;
    const behind = await this.shardsBehind(request.position);
    const gaps = planSync(heads, leavesOut === true ? among(heads, cursors) : cursors, recent, owed);
    for (let begin = 0; begin < gaps.length; begin += SYNC_SUMMARIES_MAX) {
      const some = gaps.slice(begin, begin + SYNC_SUMMARIES_MAX);
      const members = some.filter(({ removed }) => !removed).map(({ conversationId }) => conversationId);
      const summaries = await this.inbox.summaries(userId, members);
      const read = async (gap: Gap): Promise<SyncEntry | undefined> => {
        const { conversationId: id } = gap;
        const entry = await this.orLeaveOut(request, id, () =>
          this.inbox.read(userId, gap, cursors.get(id), window, summaries),
        );
        if (entry === undefined && owed.has(id)) unsummarised.add(id);
        return entry;
      };
      await this.fillEach(pages, request, some, read);
    }
    if (behind.size > 0) {
      // Whether they have moved is not known, either.
      for (const id of cursors.keys()) if (behind.has(this.shardOf(id))) this.leaveOut(request, id);
    }
    const isLeftOut = leavingOut(request);
    // What is without a summary now is so because the store went down meanwhile, or is behind this device.
    if (unsummarised.size === 0 && behind.size === 0) this.debts.paid(connection);
    else if (behind.size === 0) this.debts.owe({ ...request, recent: 0, answered: NONE });
    else {
      const answered = gaps.map(({ conversationId }) => conversationId).filter((id) => !isLeftOut(id));
      this.debts.owe({ ...request, answered: new Set(answered) });
    }
    if (request.leftOut.size === 0 && behind.size === 0) return 'all';
    return (id) => !isLeftOut(id) && !behind.has(this.shardOf(id));
  }

  /** Of those that are away, the ones in which the read models lack something that was handed out already. */
  private async shardsBehind(position: Position): Promise<ReadonlySet<number>> {
    const behind = new Set<number>();
    for (const shard of this.log.away) {
      if (!(await this.inbox.hasPassed(ofShard(shard, placeIn(position, shard)), 0))) behind.add(shard);
    }
    return behind;
  }

  /** Nobody waits for a store that is known to be away. */
  private async orLeaveOut(
    request: Request,
    id: ConversationId,
    read: () => Promise<SyncEntry | undefined>,
  ): Promise<SyncEntry | undefined> {
    try {
      if (!this.log.away.has(this.shardOf(id))) return await read();
    } catch (error) {
      if (!(error instanceof ShardAway)) throw error;
    }
    this.leaveOut(request, id);
    return undefined;
  }

  private leaveOut({ leftOut }: Request, id: ConversationId): void {
    const shard = this.shardOf(id);
    const ids = leftOut.get(shard) ?? new Set();
    leftOut.set(shard, ids.add(id));
  }

  private shardOf(id: ConversationId): number {
    return this.log.shardOf(conversationStream(id));
  }

  /**
   * Every cursor of the device, those conversations it has no cursor for that the read models know of already, and
   * those it was told to `resync`. What is not known yet is owed, and the device is told by `resync` once the read
   * models are back, or something comes of it.
   */
  private async fillFromLog(
    pages: SyncPages,
    request: Request,
    heads: readonly InboxHead[],
  ): Promise<Answered> {
    const { connection, cursors, recent, window, owed, unsummarised } = request;
    const { userId } = connection;
    for (const id of owed) unsummarised.add(id);
    const unseen = unseenOf(heads, cursors, recent);
    const ids = new Set([...cursors.keys(), ...unseen, ...connection.owed]);
    const read = (id: ConversationId): Promise<SyncEntry | undefined> =>
      this.orLeaveOut(request, id, () => this.fromLog.read(userId, id, cursors.get(id), window));
    await this.fillEach(pages, request, [...ids], read);
    if (recent > 0 || unsummarised.size > 0) this.debts.owe({ ...request, answered: ids });
    const isLeftOut = leavingOut(request);
    return (id) => ids.has(id) && !isLeftOut(id);
  }

  private async fillEach<T>(
    pages: SyncPages,
    { unsummarised }: Request,
    items: readonly T[],
    read: (item: T) => Promise<SyncEntry | undefined>,
  ): Promise<void> {
    for await (const entry of mapInOrder(items, SYNC_READS_MAX, read)) {
      if (entry === undefined) continue;
      if (entry.summary !== null || entry.removed) unsummarised.delete(entry.conversationId);
      else unsummarised.add(entry.conversationId);
      await pages.add(entry);
    }
  }
}

/** As of now: the request gathers no more when its answer is out. */
function leavingOut({ leftOut }: Request): (id: ConversationId) => boolean {
  const all = new Set([...leftOut.values()].flatMap((ids) => [...ids]));
  return (id) => all.has(id);
}

/** What the device has, but for what it is to be told although it may not have moved. */
const withoutOwed = ({ cursors, owed }: Request): Cursors =>
  owed.size === 0 ? cursors : new Map([...cursors].filter(([id]) => !owed.has(id)));

function among(heads: readonly InboxHead[], cursors: Cursors): Cursors {
  const found = new Map<ConversationId, Seq>();
  for (const { conversationId } of heads) {
    const cursor = cursors.get(conversationId);
    if (cursor !== undefined) found.set(conversationId, cursor);
  }
  return found;
}

const cursorsOf = ({ cursors }: ClientFrameData<'sync'>): Cursors =>
  new Map(Object.entries(cursors ?? {}).map(([id, seq]) => [asConversationId(id), asSeq(seq)]));

const invalid = (error: FieldError): Problem =>
  problem('invalid_input', `${error.field} ${error.message}`, { errors: [error] });

const unavailable = (detail: string): Problem =>
  problem('unavailable', detail, { retryAfterMs: RETRY_AFTER_MS });
