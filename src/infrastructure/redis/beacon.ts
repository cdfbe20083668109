import type { Channels } from './channels';
import { beaconChannels } from './keys';
import type { NodeMailLog } from './node-mail';

/** How often a node writes to itself, to know that it still hears. */
const BEACON_MS = 2_000;
/** A node that has heard nothing of itself for this long connects its subscribers anew. */
const DEAF_MS = 6_000;

export interface BeaconOptions {
  readonly node: string;
  readonly isCluster: boolean;
  readonly deaf: () => void;
  readonly log: NodeMailLog;
  readonly beaconMs?: number;
  readonly deafMs?: number;
}

/** A subscription that a server or a proxy dropped without a word would otherwise stay lost for ever. */
export class Beacon {
  private readonly heardAt = new Map<string, number>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly channels: Channels,
    private readonly options: BeaconOptions,
  ) {
    const { node, isCluster, beaconMs = BEACON_MS } = options;
    for (const channel of beaconChannels(node, isCluster)) {
      this.heardAt.set(channel, performance.now());
      const hear = (): void => {
        this.heardAt.set(channel, performance.now());
      };
      channels.subscribe(channel, hear).catch(() => undefined);
    }
    this.timer = setInterval(() => {
      for (const channel of this.heardAt.keys()) void this.light(channel);
    }, beaconMs).unref();
  }

  close(): void {
    clearInterval(this.timer);
    for (const channel of this.heardAt.keys()) this.channels.unsubscribe(channel);
  }

  private async light(channel: string): Promise<void> {
    const { deafMs = DEAF_MS, deaf, log } = this.options;
    try {
      await this.channels.publish(channel, Buffer.alloc(0));
    } catch {
      // While Redis is away there is nothing to hear.
      this.heardAt.set(channel, performance.now());
      return;
    }
    if (performance.now() - (this.heardAt.get(channel) ?? 0) < deafMs) return;
    for (const one of this.heardAt.keys()) this.heardAt.set(one, performance.now());
    log.warn('nothing is heard from redis any more: subscribing anew');
    deaf();
  }
}
