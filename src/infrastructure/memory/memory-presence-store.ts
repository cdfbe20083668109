import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  PRESENCE_GRACE_MS,
  PRESENCE_TTL_MS,
  PresenceStore,
  type Activity,
  type OwnStatus,
  type PresenceStatus,
  type PresenceView,
  type SessionKey,
} from '../../application/ports/presence';
import { Clock } from '../../kernel/clock';
import type { DeviceId, Millis, UserId } from '../../kernel/ids';

/** Users who are gone and whose last time of being seen is remembered; the first to go is forgotten first. */
export const LAST_SEEN_USERS_MAX = 100_000;
/** How often entries are looked at for their end: what expires is announced at most this much later. */
export const SWEEP_MS = 1_000;

interface Entry {
  readonly deviceId: DeviceId;
  status: OwnStatus;
  customStatus: string | undefined;
  /** When `status` was set: the later one speaks for sessions that are equally present. */
  setAt: number;
  expiresAt: number;
  /** Left, and only kept through the grace. */
  hasLeft: boolean;
  isIdle: boolean;
}

/** What a device last said of itself, for its next session. */
interface Said {
  readonly status: OwnStatus;
  readonly customStatus: string | undefined;
  readonly until: number;
}

interface Person {
  readonly sessions: Map<string, Entry>;
  readonly said: Map<DeviceId, Said>;
  lastSeenAt: Millis | undefined;
  /** What was last announced. */
  status: PresenceStatus;
  customStatus: string | undefined;
}

const RANK: Readonly<Record<OwnStatus, number>> = { online: 3, busy: 2, away: 1, invisible: 0 };

/** Presence of the users of one process. Everything in it ends by itself. */
@Injectable()
export class MemoryPresenceStore extends PresenceStore implements OnModuleDestroy {
  private readonly people = new Map<UserId, Person>();
  private readonly lastSeen = new Map<UserId, Millis>();
  private readonly listeners = new Set<(presence: PresenceView) => void>();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly clock: Clock) {
    super();
    this.timer = setInterval(() => {
      this.sweep();
    }, SWEEP_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  override beat(session: SessionKey, activity: Activity = 'active'): Promise<void> {
    const { person, entry, now } = this.entryOf(session);
    entry.expiresAt = now + PRESENCE_TTL_MS;
    entry.isIdle = activity === 'idle';
    remember(person, entry, entry.expiresAt);
    this.settle(session.userId, person, now, true);
    return Promise.resolve();
  }

  override set(session: SessionKey, status: OwnStatus, customStatus?: string): Promise<void> {
    const { person, entry, now } = this.entryOf(session);
    Object.assign(entry, {
      status,
      customStatus,
      setAt: now,
      isIdle: false,
      expiresAt: now + PRESENCE_TTL_MS,
    });
    remember(person, entry, entry.expiresAt);
    this.settle(session.userId, person, now, true);
    return Promise.resolve();
  }

  override leave({ userId, sessionId }: SessionKey): Promise<void> {
    const person = this.people.get(userId);
    const entry = person?.sessions.get(sessionId);
    if (person === undefined || entry === undefined) return Promise.resolve();
    const now = this.clock.now();
    remember(person, entry, now + PRESENCE_GRACE_MS);
    const others = [...person.sessions.values()].some((other) => other !== entry && !other.hasLeft);
    // The last one stays for the grace, as it was: a reconnect within it is nobody's news.
    if (others) person.sessions.delete(sessionId);
    else
      Object.assign(entry, { hasLeft: true, expiresAt: Math.min(entry.expiresAt, now + PRESENCE_GRACE_MS) });
    this.settle(userId, person, now, true);
    return Promise.resolve();
  }

  override get(userIds: readonly UserId[]): Promise<readonly PresenceView[]> {
    const now = this.clock.now();
    return Promise.resolve(
      userIds.map((userId) => {
        const person = this.people.get(userId);
        if (person !== undefined) this.settle(userId, person, now, false);
        return this.viewOf(userId);
      }),
    );
  }

  /** Everything is told anyway. */
  override follow(): Promise<void> {
    return Promise.resolve();
  }

  override unfollow(): void {
    return;
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

  /** Ends what has expired; the timer calls it. */
  sweep(): void {
    const now = this.clock.now();
    for (const [userId, person] of this.people) this.settle(userId, person, now, false);
  }

  private entryOf({ userId, deviceId, sessionId }: SessionKey): {
    person: Person;
    entry: Entry;
    now: Millis;
  } {
    const now = this.clock.now();
    let person = this.people.get(userId);
    if (person === undefined) {
      person = {
        sessions: new Map(),
        said: new Map(),
        lastSeenAt: this.lastSeen.get(userId),
        status: 'offline',
        customStatus: undefined,
      };
      this.people.set(userId, person);
    }
    const before = person.said.get(deviceId);
    // Somebody is there again: what remains of sessions that have left must not speak for them.
    for (const [id, entry] of person.sessions) if (entry.hasLeft) person.sessions.delete(id);
    let entry = person.sessions.get(sessionId);
    if (entry === undefined) {
      entry = {
        deviceId,
        // It goes on as it was: who is invisible would show with every reconnect otherwise.
        status: before?.status ?? 'online',
        customStatus: before?.customStatus,
        setAt: now,
        expiresAt: now,
        hasLeft: false,
        isIdle: false,
      };
      person.sessions.set(sessionId, entry);
    }
    return { person, entry, now };
  }

  /**
   * Drops what has expired, and announces the user's presence if it looks different now. `isSign`: the user has
   * just done something, and was seen if they let themselves be seen before or after it.
   */
  private settle(userId: UserId, person: Person, now: Millis, isSign: boolean): void {
    for (const [id, { expiresAt }] of person.sessions) if (expiresAt <= now) person.sessions.delete(id);
    for (const [id, { until }] of person.said) if (until <= now) person.said.delete(id);
    const best = mostPresent(person.sessions.values());
    const visible = best === undefined ? 'invisible' : shown(best);
    const status: PresenceStatus = visible === 'invisible' ? 'offline' : visible;
    const customStatus = status === 'offline' ? undefined : best?.customStatus;
    const hasChanged = status !== person.status || customStatus !== person.customStatus;
    const wasVisible = person.status !== 'offline' || status !== 'offline';
    if (isSign && wasVisible) person.lastSeenAt = now;
    person.status = status;
    person.customStatus = customStatus;
    if (person.sessions.size === 0) this.forget(userId, person);
    if (hasChanged) this.announce(this.viewOf(userId));
  }

  private forget(userId: UserId, { lastSeenAt }: Person): void {
    this.people.delete(userId);
    if (lastSeenAt === undefined) return;
    this.lastSeen.delete(userId);
    if (this.lastSeen.size >= LAST_SEEN_USERS_MAX) {
      const [oldest] = this.lastSeen.keys();
      if (oldest !== undefined) this.lastSeen.delete(oldest);
    }
    this.lastSeen.set(userId, lastSeenAt);
  }

  private viewOf(userId: UserId): PresenceView {
    const person = this.people.get(userId);
    if (person === undefined) {
      return { userId, status: 'offline', lastSeenAt: this.lastSeen.get(userId) };
    }
    const { status, customStatus, lastSeenAt } = person;
    return { userId, status, lastSeenAt, ...(customStatus === undefined ? {} : { customStatus }) };
  }

  private announce(view: PresenceView): void {
    for (const listener of [...this.listeners]) listener(view);
  }
}

function remember({ said }: Person, { deviceId, status, customStatus }: Entry, until: number): void {
  if (status === 'online' && customStatus === undefined) said.delete(deviceId);
  else said.set(deviceId, { status, customStatus, until });
}

const shown = ({ status, isIdle }: Entry): OwnStatus => (status === 'online' && isIdle ? 'away' : status);

function mostPresent(entries: Iterable<Entry>): Entry | undefined {
  let best: Entry | undefined;
  for (const entry of entries) {
    if (best === undefined) best = entry;
    else {
      const lead = RANK[shown(entry)] - RANK[shown(best)];
      if (lead > 0 || (lead === 0 && entry.setAt > best.setAt)) best = entry;
    }
  }
  return best;
}
