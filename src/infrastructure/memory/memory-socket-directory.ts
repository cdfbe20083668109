import {
  SOCKET_ENTRY_TTL_MS,
  SocketDirectory,
  type SocketEntry,
} from '../../application/ports/socket-directory';
import type { SessionKey } from '../../application/ports/presence';
import type { Clock } from '../../kernel/clock';
import type { UserId } from '../../kernel/ids';

interface Entry {
  readonly session: SessionKey;
  /** Milliseconds of this process's monotonic clock: a wall clock that is set back would turn sockets round. */
  readonly openedAt: number;
  expiresAt: number;
}

/** The sockets of a process that is alone. */
export class MemorySocketDirectory extends SocketDirectory {
  private readonly users = new Map<UserId, Map<string, Entry>>();
  private readonly listeners = new Set<(session: SessionKey) => void>();

  constructor(
    private readonly clock: Clock,
    private readonly socketsPerUserMax: number,
  ) {
    super();
  }

  override register(session: SessionKey, openMs: number): Promise<SocketEntry> {
    const openedAt = performance.now() - openMs;
    const mine = this.entriesOf(session.userId);
    const ofDevice = [...mine.values()].filter((entry) => entry.session.deviceId === session.deviceId);
    if (ofDevice.some((other) => other.openedAt > openedAt)) return Promise.resolve('displaced');
    if (mine.size - ofDevice.length >= this.socketsPerUserMax) return Promise.resolve('tooMany');
    this.enter(session, openedAt, mine);
    for (const { session: older } of ofDevice) {
      if (older.sessionId === session.sessionId) continue;
      mine.delete(older.sessionId);
      for (const listener of [...this.listeners]) listener(older);
    }
    return Promise.resolve('registered');
  }

  override refresh(session: SessionKey): Promise<SocketEntry> {
    const mine = this.entriesOf(session.userId);
    const known = mine.get(session.sessionId);
    const another = [...mine.values()].some((entry) => entry.session.deviceId === session.deviceId);
    if (known === undefined && another) return Promise.resolve('displaced');
    this.enter(session, known?.openedAt ?? performance.now(), mine);
    return Promise.resolve('registered');
  }

  override unregister({ userId, sessionId }: SessionKey): Promise<void> {
    const mine = this.users.get(userId);
    mine?.delete(sessionId);
    if (mine?.size === 0) this.users.delete(userId);
    return Promise.resolve();
  }

  override onDisplaced(listener: (session: SessionKey) => void): () => void {
    const own = (session: SessionKey): void => {
      listener(session);
    };
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }

  /** Without those that have expired. */
  private entriesOf(userId: UserId): Map<string, Entry> {
    const now = this.clock.now();
    const mine = this.users.get(userId) ?? new Map<string, Entry>();
    for (const [id, { expiresAt }] of mine) if (expiresAt <= now) mine.delete(id);
    return mine;
  }

  private enter(session: SessionKey, openedAt: number, mine: Map<string, Entry>): void {
    mine.set(session.sessionId, { session, openedAt, expiresAt: this.clock.now() + SOCKET_ENTRY_TTL_MS });
    this.users.set(session.userId, mine);
  }
}
