import {
  Global,
  Module,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { SocketControl } from '../application/ports/socket-control';
import { HealthChecks } from '../observability/health';
import { ActivityHints } from './activity-hints';
import { Audiences } from './audiences';
import { ConversationLanes } from './conversation-lanes';
import { FanOut } from './fan-out';
import { Feed } from './feed';
import { FeedProbe } from './feed-probe';
import { GapReader } from './gap-reader';
import { Hub } from './hub';
import { ReceiptAggregator } from './receipts';
import { ReceiptSummaries } from './receipt-summaries';
import { RelayIntake } from './relay/intake';
import { SignOuts } from './sign-outs';
import { AwayDebts } from './sync-away';
import { SyncDebts } from './sync-debts';
import { SyncFromLog } from './sync-from-log';
import { SyncInbox } from './sync-inbox';
import { SyncService } from './sync';

/** A log that is away must not keep the node from starting: sockets open, `sync` is refused until it is back. */
const FEED_START_WAIT_MS = 5_000;
/** Receipts that cannot be written within this time at the end are left to the devices. */
const RECEIPTS_DRAIN_MS = 3_000;

/** From the log to the sockets of this node, and what sockets ask of it. */
@Global()
@Module({
  providers: [
    ActivityHints,
    Audiences,
    AwayDebts,
    ConversationLanes,
    FanOut,
    Feed,
    FeedProbe,
    GapReader,
    Hub,
    ReceiptAggregator,
    ReceiptSummaries,
    RelayIntake,
    SyncDebts,
    SyncFromLog,
    SyncInbox,
    SyncService,
    SignOuts,
    { provide: SocketControl, useExisting: SignOuts },
  ],
  exports: [Feed, Hub, ReceiptAggregator, SyncService, SocketControl],
})
export class DeliveryModule
  implements OnApplicationBootstrap, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    private readonly feed: Feed,
    private readonly probe: FeedProbe,
    private readonly receipts: ReceiptAggregator,
    private readonly debts: SyncDebts,
    private readonly awayDebts: AwayDebts,
    private readonly relays: RelayIntake,
    private readonly health: HealthChecks,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.health.register('feed', () =>
      this.feed.status().subscribed
        ? { status: 'up' }
        : { status: 'down', detail: 'the subscription to the log is being taken up again' },
    );
    this.probe.start();
    this.relays.start();
    await Promise.race([this.feed.start(), sleep(FEED_START_WAIT_MS, undefined, { ref: false })]);
  }

  /** Before the stores close, which happens with the end of the application. */
  async beforeApplicationShutdown(): Promise<void> {
    this.debts.stop();
    this.awayDebts.stop();
    await Promise.race([this.receipts.flush(), sleep(RECEIPTS_DRAIN_MS, undefined, { ref: false })]);
    this.receipts.stop();
  }

  async onApplicationShutdown(): Promise<void> {
    this.relays.stop();
    await this.feed.stop();
  }
}
