import type { RelayBus } from '../../application/ports/relay-bus';
import type { UserId } from '../../kernel/ids';
import type { Hub } from '../hub';
import { INTEREST_USERS_EACH_MAX, INTEREST_USERS_MAX, write, type NodeWord } from './words';

/** Comings and goings within this time are told together, unless somebody waits for them to be known. */
export const INTEREST_GATHER_MS = 20;

/** Tells relays who has sockets here: all of them once, and then what changes. Each change is one version more. */
export class OwnUsers {
  private current = 0;
  private came = new Set<UserId>();
  private went = new Set<UserId>();
  private timer: NodeJS.Timeout | undefined;
  /** The shards whose relays have been told. */
  private readonly told = new Set<number>();

  constructor(
    private readonly bus: RelayBus,
    private readonly hub: Hub,
  ) {
    hub.onUsers((userId, isHere) => {
      this.note(userId, isHere);
    });
  }

  /** As of now; whoever is told of it has been sent all that makes it. */
  version(): number {
    this.flush();
    return this.current;
  }

  /** @returns false: they are more than a relay takes */
  tellAll(shard: number): boolean {
    this.flush();
    const users = [...this.hub.users()];
    if (users.length > INTEREST_USERS_MAX) {
      this.leave(shard);
      return false;
    }
    this.told.add(shard);
    const { node } = this.bus;
    const parts = Math.max(1, Math.ceil(users.length / INTEREST_USERS_EACH_MAX));
    for (let part = 0; part < parts; part++) {
      const some = users.slice(part * INTEREST_USERS_EACH_MAX, (part + 1) * INTEREST_USERS_EACH_MAX);
      this.say(shard, { kind: 'whole', node, version: this.current, part, parts, users: some });
    }
    return true;
  }

  /** That nothing has changed. */
  tellHere(shard: number): void {
    this.say(shard, { kind: 'here', node: this.bus.node });
  }

  /** The shard's relay need not tell this node anything any more. */
  leave(shard: number): void {
    if (this.told.delete(shard)) this.say(shard, { kind: 'gone', node: this.bus.node });
  }

  stop(): void {
    clearTimeout(this.timer);
    for (const shard of [...this.told]) this.leave(shard);
  }

  private note(userId: UserId, isHere: boolean): void {
    // Nobody has been told of anything: whoever is told first, is told all.
    if (this.told.size === 0) {
      this.current++;
      return;
    }
    const [to, from] = isHere ? [this.came, this.went] : [this.went, this.came];
    if (!from.delete(userId)) to.add(userId);
    this.timer ??= setTimeout(() => {
      this.flush();
    }, INTEREST_GATHER_MS).unref();
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.came.size + this.went.size === 0) return;
    const [came, went] = [[...this.came], [...this.went]];
    this.came = new Set();
    this.went = new Set();
    for (let at = 0; at < Math.max(came.length, went.length); at += INTEREST_USERS_EACH_MAX) {
      const to = at + INTEREST_USERS_EACH_MAX;
      const change = { came: came.slice(at, to), went: went.slice(at, to) };
      const word: NodeWord = { kind: 'change', node: this.bus.node, version: ++this.current, ...change };
      for (const shard of this.told) this.say(shard, word);
    }
  }

  private say(shard: number, word: NodeWord): void {
    this.bus.tell(shard, write(word));
  }
}
