import {
  PresenceStore,
  type Activity,
  type OwnStatus,
  type PresenceStatus,
  type PresenceView,
  type SessionKey,
} from '../../application/ports/presence';
import { asMillis, type UserId } from '../../kernel/ids';
import type { Channels } from './channels';
import { PRESENCE_PARTITIONS, presenceChannel, presenceDueKey, presenceKey } from './keys';
import type { RedisLink } from './redis-link';
import { ChangePresenceScript } from './scripts/change-presence';

/** How often nodes look for sessions that have expired: their end is told at most this much later. */
export const PRESENCE_SWEEP_MS = 1_000;
/** Users settled in one sweep of one partition; the rest waits for the next. */
export const PRESENCE_SWEEP_USERS_MAX = 100;
/** Users asked about at once when Redis comes back. */
const RELOAD_USERS_MAX = 100;

/** What a session of this node last said of itself: told again when Redis has forgotten it. */
interface Own {
  readonly session: SessionKey;
  status: OwnStatus;
  customStatus: string | undefined;
  setAt: number;
  activity: Activity;
}

export interface RedisPresenceOptions {
  /** Moves the server's clock, in tests. */
  readonly shiftMs?: () => number;
  readonly sweepMs?: number;
}

/**
 * Presence over all nodes. Redis is flushed, restarted or away: this node goes on knowing its own sessions and whom
 * it follows, and tells and asks again as soon as it can.
 */
export class RedisPresenceStore extends PresenceStore {
  private readonly script: ChangePresenceScript;
  private readonly own = new Map<string, Own>();
  private readonly followed = new Set<UserId>();
  private readonly listeners = new Set<(presence: PresenceView) => void>();
  private readonly shiftMs: () => number;
  private readonly timer: NodeJS.Timeout;
  private readonly endUp: () => void;

  constructor(
    private readonly link: RedisLink,
    private readonly channels: Channels,
    { shiftMs = () => 0, sweepMs = PRESENCE_SWEEP_MS }: RedisPresenceOptions = {},
  ) {
    super();
    this.shiftMs = shiftMs;
    this.script = new ChangePresenceScript(link, shiftMs);
    this.timer = setInterval(() => {
      void this.sweep();
    }, sweepMs).unref();
    this.endUp = link.onUp(() => {
      void this.recover();
    });
  }

  /** Sessions of this node. */
  get size(): number {
    return this.own.size;
  }

  override beat(session: SessionKey, activity: Activity = 'active'): Promise<void> {
    const own = this.ownOf(session);
    own.activity = activity;
    return this.tell('beat', own);
  }

  override set(session: SessionKey, status: OwnStatus, customStatus?: string): Promise<void> {
    const own = this.ownOf(session);
    Object.assign(own, { status, customStatus, activity: 'active' });
    return this.tell('set', own);
  }

  override async leave({ userId, deviceId, sessionId }: SessionKey): Promise<void> {
    this.own.delete(sessionId);
    await this.script.run(userId, { op: 'leave', deviceId, sessionId });
  }

  /** What was last told of them, which is behind their sessions' expiry by one sweep at most. */
  override async get(userIds: readonly UserId[]): Promise<readonly PresenceView[]> {
    const rows = await Promise.all(
      userIds.map((userId) =>
        this.link.run((commands) => commands.hmget(presenceKey(userId), 'told', 'seen')),
      ),
    );
    return rows.map(([told, seen], n) => viewOf(userIds[n] as UserId, told ?? 'offline|', seen ?? ''));
  }

  override async follow(userIds: readonly UserId[]): Promise<void> {
    const added = userIds.filter((userId) => !this.followed.has(userId));
    for (const userId of added) this.followed.add(userId);
    const outcomes = await Promise.allSettled(
      added.map((userId) =>
        this.channels.subscribe(presenceChannel(userId), (payload) => {
          this.heard(userId, payload.toString());
        }),
      ),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  override unfollow(userIds: readonly UserId[]): void {
    for (const userId of userIds) {
      if (this.followed.delete(userId)) this.channels.unsubscribe(presenceChannel(userId));
    }
  }

  override onChange(listener: (presence: PresenceView) => void): () => void {
    const own = (presence: PresenceView): void => {
      listener(presence);
    };
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }

  /** Ends what has expired on any node, this one or one that died; the timer calls it. Never rejects. */
  async sweep(): Promise<void> {
    if (!this.link.isUp) return;
    try {
      // By the server's clock, like the entries: ours may be wrong by an hour.
      const [seconds, micros] = await this.link.run((commands) => commands.time());
      const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000) + this.shiftMs();
      const partitions = Array.from({ length: PRESENCE_PARTITIONS }, (_, partition) => partition);
      await Promise.all(partitions.map((partition) => this.sweepPartition(partition, now)));
    } catch {
      // Redis went away; the next sweep finds the same ones.
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.endUp();
    this.listeners.clear();
  }

  private async sweepPartition(partition: number, now: number): Promise<void> {
    const due = await this.link.run((commands) =>
      commands.zrangebyscore(presenceDueKey(partition), 0, now, 'LIMIT', 0, PRESENCE_SWEEP_USERS_MAX),
    );
    await Promise.all(due.map((userId) => this.script.run(userId as UserId, { op: 'settle' })));
  }

  /** Redis is back, and may have forgotten everything. */
  private async recover(): Promise<void> {
    const owns = [...this.own.values()];
    for (let begin = 0; begin < owns.length; begin += RELOAD_USERS_MAX) {
      const some = owns.slice(begin, begin + RELOAD_USERS_MAX);
      await Promise.allSettled(some.map((own) => this.tell('beat', own)));
    }
    const users = [...this.followed];
    for (let begin = 0; begin < users.length; begin += RELOAD_USERS_MAX) {
      const views = await this.get(users.slice(begin, begin + RELOAD_USERS_MAX)).catch(() => []);
      for (const view of views) this.announce(view);
    }
  }

  private ownOf(session: SessionKey): Own {
    const known = this.own.get(session.sessionId);
    if (known !== undefined) return known;
    const own: Own = { session, status: 'online', customStatus: undefined, setAt: 0, activity: 'active' };
    this.own.set(session.sessionId, own);
    return own;
  }

  private async tell(op: 'beat' | 'set', own: Own): Promise<void> {
    const { session, status, customStatus, activity } = own;
    const { sessionId, deviceId } = session;
    // A session's first beat brings no time: it goes on as the one before it on the same device.
    const setAt = own.setAt;
    // By our clock, and only of use after a flush: which of two equally present sessions spoke last.
    if (setAt === 0 || op === 'set') own.setAt = Date.now();
    const change = { op, sessionId, deviceId, status, customStatus, activity };
    const said = await this.script.run(session.userId, {
      ...change,
      setAt: op === 'set' ? own.setAt : setAt,
    });
    // What it has said itself meanwhile counts more.
    if (setAt === 0 && op === 'beat' && said !== undefined && own.status === status) {
      Object.assign(own, said);
    }
  }

  private heard(userId: UserId, payload: string): void {
    const end = payload.indexOf('|');
    this.announce(viewOf(userId, payload.slice(end + 1), payload.slice(0, end)));
  }

  private announce(view: PresenceView): void {
    for (const listener of [...this.listeners]) listener(view);
  }
}

const STATUSES: ReadonlySet<string> = new Set<PresenceStatus>(['online', 'away', 'busy', 'offline']);

/** @param told `<status>|<custom status>`. @param seen milliseconds, or nothing */
function viewOf(userId: UserId, told: string, seen: string): PresenceView {
  const end = told.indexOf('|');
  const status = told.slice(0, end);
  const customStatus = told.slice(end + 1);
  return {
    userId,
    status: STATUSES.has(status) ? (status as PresenceStatus) : 'offline',
    lastSeenAt: seen === '' ? undefined : asMillis(Number(seen)),
    ...(customStatus === '' ? {} : { customStatus }),
  };
}
