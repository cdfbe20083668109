import { RELAY_MESSAGE_BYTES_MAX, RelayBus } from '../../application/ports/relay-bus';
import type { Channels } from './channels';
import { everyNodeRelayChannel, nodeRelayChannel, shardRelayChannel } from './keys';
import { RedisUnavailable } from './redis-link';

type Listener = (payload: Buffer) => void;

/** Relays and nodes on channels of their own, by sharded pub/sub where the server has it. */
export class RedisRelayBus extends RelayBus {
  constructor(
    readonly node: string,
    private readonly channels: Channels,
  ) {
    super();
  }

  override async send(node: string, payload: Buffer): Promise<void> {
    if (payload.length > RELAY_MESSAGE_BYTES_MAX) throw new RedisUnavailable('more than one message may be');
    await this.channels.publish(nodeRelayChannel(node), payload);
  }

  override announce(payload: Buffer): void {
    this.channels.publish(everyNodeRelayChannel, payload).catch(() => undefined);
  }

  override onRelay(listener: Listener): () => void {
    return this.listen([nodeRelayChannel(this.node), everyNodeRelayChannel], listener);
  }

  override tell(shard: number, payload: Buffer): void {
    if (payload.length > RELAY_MESSAGE_BYTES_MAX) return;
    this.channels.publish(shardRelayChannel(shard), payload).catch(() => undefined);
  }

  override onNodes(shard: number, listener: Listener): () => void {
    return this.listen([shardRelayChannel(shard)], listener);
  }

  private listen(names: readonly string[], listener: Listener): () => void {
    for (const name of names) this.channels.subscribe(name, listener).catch(() => undefined);
    return () => {
      for (const name of names) this.channels.unsubscribe(name);
    };
  }
}
