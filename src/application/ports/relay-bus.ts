/** One message between a relay and a node: more is not sent. */
export const RELAY_MESSAGE_BYTES_MAX = 4_194_304;

type Listener = (payload: Buffer) => void;

/**
 * Between relays and the nodes that devices connect to (docs/adr/0038). Messages are in order from one process to
 * another as a rule and arrive once as a rule; whoever listens knows by their contents when they did not.
 */
export abstract class RelayBus {
  /** Names this process to relays. */
  abstract readonly node: string;
  /** A relay to one node. Rejects when it cannot be told. */
  abstract send(node: string, payload: Buffer): Promise<void>;
  /** A relay to all nodes. Never throws, never waits. */
  abstract announce(payload: Buffer): void;
  /** What relays say to this node and to all. One listener. @returns a function that ends it */
  abstract onRelay(listener: Listener): () => void;
  /** A node to the relays of a shard. Never throws, never waits. */
  abstract tell(shard: number, payload: Buffer): void;
  /** What nodes say to the relays of a shard. One listener a shard. @returns a function that ends it */
  abstract onNodes(shard: number, listener: Listener): () => void;
}
