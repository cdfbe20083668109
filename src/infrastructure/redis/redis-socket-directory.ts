import type { SessionKey } from '../../application/ports/presence';
import { SocketDirectory, type SocketEntry } from '../../application/ports/socket-directory';
import type { UserId } from '../../kernel/ids';
import { socketsKey } from './keys';
import type { NodeMail } from './node-mail';
import type { RedisLink } from './redis-link';
import { RegisterSocketScript, type RegisterAnswer } from './scripts/register-socket';

const TOPIC = 'displaced';
/** Sockets entered at once when Redis comes back. */
const RELOAD_SOCKETS_MAX = 100;

interface Own {
  readonly session: SessionKey;
  /** When it was opened by the clock of Redis; by ours while Redis was away. */
  since: number;
}

export interface SocketDirectoryOptions {
  readonly socketsPerUserMax: number;
  /** Moves the server's clock, in tests. */
  readonly shiftMs?: () => number;
}

/** Which sockets a user has on which nodes, in Redis. */
export class RedisSocketDirectory extends SocketDirectory {
  private readonly script: RegisterSocketScript;
  private readonly own = new Map<string, Own>();
  private readonly listeners = new Set<(session: SessionKey) => void>();
  private readonly socketsPerUserMax: number;
  private readonly endUp: () => void;

  constructor(
    private readonly link: RedisLink,
    private readonly mail: NodeMail,
    { socketsPerUserMax, shiftMs }: SocketDirectoryOptions,
  ) {
    super();
    this.socketsPerUserMax = socketsPerUserMax;
    this.script = new RegisterSocketScript(link, mail.node, shiftMs);
    mail.on(TOPIC, (head) => {
      this.displaced(String(head));
    });
    this.endUp = link.onUp(() => {
      void this.recover();
    });
  }

  override async register(session: SessionKey, openMs: number): Promise<SocketEntry> {
    const own: Own = { session, since: Date.now() - Math.round(openMs) };
    this.own.set(session.sessionId, own);
    const entry = await this.enter(own, () => this.script.register(session, this.socketsPerUserMax, openMs));
    if (entry !== 'registered') this.own.delete(session.sessionId);
    return entry;
  }

  override refresh(session: SessionKey): Promise<SocketEntry> {
    const own = this.own.get(session.sessionId);
    if (own === undefined) return Promise.resolve('registered');
    return this.enter(own, () => this.script.refresh(session, own.since));
  }

  override async unregister({ userId, sessionId }: SessionKey): Promise<void> {
    this.own.delete(sessionId);
    try {
      await this.link.run((commands) => commands.hdel(socketsKey(userId), sessionId));
    } catch {
      // Redis is away: the entry expires.
    }
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

  /**
   * The other nodes that have sockets of these users, with those of them that each has. An entry that outlived its
   * node costs a letter to nobody. @throws RedisUnavailable
   */
  async nodesOf(userIds: readonly UserId[]): Promise<ReadonlyMap<string, readonly UserId[]>> {
    const found = new Map<string, UserId[]>();
    const rows = await Promise.all(
      userIds.map((userId) => this.link.run((commands) => commands.hvals(socketsKey(userId)))),
    );
    rows.forEach((entries, n) => {
      const nodes = new Set(entries.map((entry) => entry.split('|', 3)[2] ?? ''));
      nodes.delete(this.mail.node);
      for (const node of nodes) {
        const users = found.get(node);
        if (users === undefined) found.set(node, [userIds[n] as UserId]);
        else users.push(userIds[n] as UserId);
      }
    });
    return found;
  }

  close(): void {
    this.endUp();
    this.listeners.clear();
  }

  /** Redis is back, and may have forgotten everything: until it knows better, nobody on other nodes reaches us. */
  private async recover(): Promise<void> {
    const owns = [...this.own.values()];
    for (let begin = 0; begin < owns.length; begin += RELOAD_SOCKETS_MAX) {
      const some = owns.slice(begin, begin + RELOAD_SOCKETS_MAX);
      await Promise.all(some.map((own) => this.enterAgain(own)));
    }
  }

  private async enterAgain(own: Own): Promise<void> {
    const { session } = own;
    if ((await this.refresh(session)) === 'displaced') this.displaced(session.sessionId);
  }

  private async enter(own: Own, run: () => Promise<RegisterAnswer>): Promise<SocketEntry> {
    let answer: RegisterAnswer;
    try {
      answer = await run();
    } catch {
      // A hint that cannot be had keeps nobody out: this node's own limits hold.
      return 'registered';
    }
    if (answer.kind !== 'registered') return answer.kind;
    own.since = answer.since;
    for (const { sessionId, node } of answer.displaced) {
      if (node === this.mail.node) this.displaced(sessionId);
      else this.mail.send(node, TOPIC, sessionId);
    }
    return 'registered';
  }

  private displaced(sessionId: string): void {
    const own = this.own.get(sessionId);
    if (own === undefined) return;
    this.own.delete(sessionId);
    for (const listener of [...this.listeners]) listener(own.session);
  }
}
