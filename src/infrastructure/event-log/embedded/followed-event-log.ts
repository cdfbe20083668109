import { LogFollower } from '../../../../embedded/engine/log-follower';
import type { EventLog, SubscribeOptions, SubscriptionItem } from '../../../application/ports/event-log';
import { subscribeThrough } from './embedded-event-log';

/** The log of an embedded store that another thread of this process has open, to be followed only. */
export class FollowedEventLog implements Pick<EventLog, 'subscribe'> {
  private readonly follower: LogFollower;

  /** @param path of the store, which must be open already */
  constructor(path: string) {
    this.follower = LogFollower.open(path);
  }

  /** See {@link LogFollower.growTo}. */
  growTo(position: number): void {
    this.follower.growTo(position);
  }

  subscribe(options: SubscribeOptions): AsyncIterable<SubscriptionItem> {
    return subscribeThrough(this.follower, options);
  }

  async close(): Promise<void> {
    await this.follower.close();
  }
}
