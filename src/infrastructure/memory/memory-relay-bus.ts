import { RELAY_MESSAGE_BYTES_MAX, RelayBus } from '../../application/ports/relay-bus';

type Listener = (payload: Buffer) => void;

/** What several processes share, in one. */
export class MemoryRelayLine {
  readonly nodes = new Map<string, Listener>();
  readonly relays = new Map<number, Set<Listener>>();
}

/** A bus among those who share a line; by itself, that of a node that knows of no others. */
export class MemoryRelayBus extends RelayBus {
  constructor(
    readonly node = 'alone',
    private readonly line = new MemoryRelayLine(),
  ) {
    super();
  }

  override send(node: string, payload: Buffer): Promise<void> {
    this.later(this.line.nodes.get(node), payload);
    return Promise.resolve();
  }

  override announce(payload: Buffer): void {
    for (const listener of this.line.nodes.values()) this.later(listener, payload);
  }

  override onRelay(listener: Listener): () => void {
    this.line.nodes.set(this.node, listener);
    return () => {
      if (this.line.nodes.get(this.node) === listener) this.line.nodes.delete(this.node);
    };
  }

  override tell(shard: number, payload: Buffer): void {
    for (const listener of this.line.relays.get(shard) ?? []) this.later(listener, payload);
  }

  override onNodes(shard: number, listener: Listener): () => void {
    const listeners = this.line.relays.get(shard) ?? new Set();
    this.line.relays.set(shard, listeners.add(listener));
    return () => {
      listeners.delete(listener);
    };
  }

  /** As over a network: not within the caller's turn. */
  private later(listener: Listener | undefined, payload: Buffer): void {
    if (listener === undefined || payload.length > RELAY_MESSAGE_BYTES_MAX) return;
    setImmediate(() => {
      listener(payload);
    });
  }
}
