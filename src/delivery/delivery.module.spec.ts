import { Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Author,
  configOf,
  conversationOf,
  DeliveryWorld,
  RecordingConnection,
  userOf,
} from '../../test/support/delivery';
import { FoldedInbox, FoldedProgress } from '../../test/support/folded-inbox';
import { Executor } from '../application/executor';
import { EventLog } from '../application/ports/event-log';
import { NodeNotices } from '../application/ports/node-notices';
import { ProjectionProgress } from '../application/ports/projection-progress';
import { InboxReads } from '../application/ports/read-models';
import { SignOuts } from './sign-outs';
import { SocketControl } from '../application/ports/socket-control';
import { CONFIG } from '../config/config';
import { MemoryNodeNotices } from '../infrastructure/memory/memory-node-notices';
import { MemoryRelayBus } from '../infrastructure/memory/memory-relay-bus';
import { RelayBus } from '../application/ports/relay-bus';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { Clock, SystemClock } from '../kernel/clock';
import { asSeq } from '../kernel/ids';
import { HealthChecks } from '../observability/health';
import { Metrics } from '../observability/metrics';
import { DeliveryModule } from './delivery.module';
import { Feed } from './feed';
import { Hub } from './hub';
import { ReceiptAggregator } from './receipts';
import { SyncService } from './sync';

describe('DeliveryModule', () => {
  it('follows the log from the start of the application, and writes what is pending at its end', async () => {
    const log = new MemoryEventLog();
    const world = new DeliveryWorld(log);
    const inbox = new FoldedInbox(log);
    const providers = [
      { provide: CONFIG, useValue: configOf() },
      { provide: Clock, useValue: new SystemClock() },
      { provide: EventLog, useValue: log },
      { provide: NodeNotices, useValue: new MemoryNodeNotices() },
      { provide: RelayBus, useValue: new MemoryRelayBus() },
      { provide: InboxReads, useValue: inbox },
      { provide: ProjectionProgress, useValue: new FoldedProgress(inbox) },
      { provide: Executor, useValue: world.executor },
      { provide: Metrics, useValue: world.metrics },
      HealthChecks,
    ];
    @Global()
    @Module({ providers, exports: providers.map((each) => ('provide' in each ? each.provide : each)) })
    class Surroundings {}

    const built = await Test.createTestingModule({ imports: [Surroundings, DeliveryModule] }).compile();
    const app = await built.init();
    const author = new Author(world, conversationOf(1));
    const device = new RecordingConnection(userOf(1));
    expect(app.get(SocketControl)).toBe(app.get(SignOuts));
    app.get(Hub).register(device, 's');
    await author.start([0, 1]);
    await author.say(0);
    await app.get(Feed).waitFor({ commit: 1n, prepare: 1n }, 30_000);
    expect(device.seqsOf(conversationOf(1))).toEqual([0, 1]);
    expect(await app.get(SyncService).sync(device, {}, undefined)).toBeUndefined();
    expect(await app.get(HealthChecks).readiness()).toMatchObject({ checks: { feed: { status: 'up' } } });
    await app.get(ReceiptAggregator).read(userOf(1), conversationOf(1), asSeq(1));
    await app.close();
    expect((await world.recorded(conversationOf(1))).at(-1)).toMatchObject({
      event: { type: 'MessageRead' },
    });
    await world.stop();
  });
});
