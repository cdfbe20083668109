import type { UserId } from '../../kernel/ids';
import { INTEREST_USERS_MAX, type NodeWord } from './words';

/** Nodes that one relay tells; others follow the log by themselves. */
export const RELAY_NODES_MAX = 1_000;
/** A node that says nothing for so long is told nothing any more. */
export const NODE_SILENT_MS = 5_000;

/** A node as a relay knows it. */
export interface KnownNode {
  readonly name: string;
  readonly users: ReadonlySet<UserId>;
  /** Of its users; undefined: not all of them are known. */
  readonly version: number | undefined;
}

interface Node extends KnownNode {
  users: Set<UserId>;
  version: number | undefined;
  heardAt: number;
  /** Parts of a whole that is coming in. */
  coming: { readonly version: number; readonly users: Set<UserId>; next: number } | undefined;
}

/** What a relay knows of who has sockets where, from what the nodes say. What does not fit together is not known. */
export class KnownUsers {
  private readonly nodes = new Map<string, Node>();
  private readonly byUser = new Map<UserId, readonly Node[]>();

  get size(): number {
    return this.nodes.size;
  }

  get all(): Iterable<KnownNode> {
    return this.nodes.values();
  }

  has(userId: UserId): boolean {
    return this.byUser.has(userId);
  }

  nodesOf(userId: UserId): readonly KnownNode[] {
    return this.byUser.get(userId) ?? [];
  }

  /** @returns the node when its users or its version are others now */
  hear(word: NodeWord, now: number): KnownNode | undefined {
    if (word.kind === 'gone') {
      this.forget(word.node);
      return undefined;
    }
    const node = this.nodes.get(word.node) ?? this.add(word.node);
    if (node === undefined) return undefined;
    node.heardAt = now;
    if (word.kind === 'whole') return this.takePart(node, word) ? node : undefined;
    return word.kind === 'change' && this.change(node, word) ? node : undefined;
  }

  /** @returns those that have gone silent, and are forgotten */
  expire(now: number): readonly KnownNode[] {
    const silent = [...this.nodes.values()].filter(({ heardAt }) => now - heardAt > NODE_SILENT_MS);
    for (const { name } of silent) this.forget(name);
    return silent;
  }

  forget(name: string): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    this.nodes.delete(name);
    for (const userId of node.users) this.remove(node, userId);
  }

  private add(name: string): Node | undefined {
    if (this.nodes.size >= RELAY_NODES_MAX) return undefined;
    const node: Node = { name, users: new Set(), version: undefined, heardAt: 0, coming: undefined };
    this.nodes.set(name, node);
    return node;
  }

  private takePart(node: Node, word: Extract<NodeWord, { kind: 'whole' }>): boolean {
    if (word.part === 0) node.coming = { version: word.version, users: new Set(), next: 0 };
    const { coming } = node;
    if (coming?.version !== word.version || coming.next !== word.part) return false;
    coming.next++;
    for (const userId of word.users) coming.users.add(userId);
    if (coming.users.size > INTEREST_USERS_MAX) {
      node.coming = undefined;
      return false;
    }
    if (coming.next < word.parts) return false;
    for (const userId of node.users) if (!coming.users.has(userId)) this.remove(node, userId);
    for (const userId of coming.users) if (!node.users.has(userId)) this.insert(node, userId);
    node.users = coming.users;
    node.version = word.version;
    node.coming = undefined;
    return true;
  }

  private change(node: Node, { version, came, went }: Extract<NodeWord, { kind: 'change' }>): boolean {
    if (node.version === undefined || version !== node.version + 1) return false;
    if (node.users.size + came.length > INTEREST_USERS_MAX) return false;
    node.version = version;
    for (const userId of came) {
      if (node.users.has(userId)) continue;
      node.users.add(userId);
      this.insert(node, userId);
    }
    for (const userId of went) if (node.users.delete(userId)) this.remove(node, userId);
    return true;
  }

  private insert(node: Node, userId: UserId): void {
    this.byUser.set(userId, [...(this.byUser.get(userId) ?? []), node]);
  }

  private remove(node: Node, userId: UserId): void {
    const rest = this.byUser.get(userId)?.filter((other) => other !== node) ?? [];
    if (rest.length === 0) this.byUser.delete(userId);
    else this.byUser.set(userId, rest);
  }
}
