import { Injectable, Logger } from '@nestjs/common';
import { Executor } from '../../application/executor';
import { EventLog } from '../../application/ports/event-log';
import { RelayBus } from '../../application/ports/relay-bus';
import { MOVED_BYTES, forEachMoved, readBatch, type Batch } from './batch';
import { comparePositions, placeIn, type Position } from '../../kernel/position';
import { Metrics } from '../../observability/metrics';
import { FanOut } from '../fan-out';
import { Feed } from '../feed';
import { Hub } from '../hub';
import { Chain, RELAY_SILENT_MS } from './chain';
import { OwnUsers } from './own-users';
import { isWord, readAnnouncement, type Announcement } from './words';

/** How often it is looked whether a relay has gone silent, and whether it knows what it was told. */
export const INTAKE_TICK_MS = 250;
/** A relay that does not know for so long who is here is told everybody again. */
const TELL_AGAIN_MS = 500;
/** How long a device that has just come waits for relays to know of it; then the node follows the log by itself. */
export const COVER_WAIT_MS = 1_000;

/** What this node knows of the relay of a shard. */
interface Relay {
  readonly term: number;
  heardAt: number;
  toldAllAt: number;
  /** Of the users here, when it was last looked. */
  versionBefore: number;
}

/**
 * Takes shards from relays, when there are relays that have something to say, and gives them back to the node's own feed when
 * there are not: what comes of an event here is the same either way (fan-out.ts).
 */
@Injectable()
export class RelayIntake {
  private readonly logger = new Logger(RelayIntake.name);
  private readonly chains: readonly Chain<Batch>[];
  private readonly relays = new Map<number, Relay>();
  private readonly users: OwnUsers;
  private readonly uncovered = new Set<() => void>();
  /** Only while there is a relay. */
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;
  private endListening: () => void = () => undefined;

  constructor(
    private readonly bus: RelayBus,
    log: EventLog,
    hub: Hub,
    private readonly feed: Feed,
    private readonly fanOut: FanOut,
    private readonly executor: Executor,
    private readonly metrics: Metrics,
  ) {
    this.users = new OwnUsers(bus, hub);
    this.chains = Array.from({ length: log.shards }, (_, shard) => this.chainOf(shard));
  }

  start(): void {
    this.feed.covered = () => this.covered();
    this.endListening = this.bus.onRelay((payload) => {
      this.hear(payload);
    });
    this.count();
  }

  stop(): void {
    this.isStopped = true;
    clearInterval(this.timer);
    this.endListening();
    this.users.stop();
    for (const resolve of [...this.uncovered]) resolve();
  }

  /** Resolves when everything that is handed out from now on is also handed to everybody who is connected now. */
  private async covered(): Promise<void> {
    const version = this.users.version();
    const isCovered = (): boolean => this.chains.every((chain) => chain.covers(version));
    const giveUp = setTimeout(() => {
      for (const chain of this.chains) if (!chain.covers(version)) chain.giveUp('uncovered');
    }, COVER_WAIT_MS);
    while (!isCovered() && !this.isStopped) {
      await new Promise<void>((resolve) => this.uncovered.add(resolve));
    }
    clearTimeout(giveUp);
  }

  private chainOf(shard: number): Chain<Batch> {
    return new Chain<Batch>({
      wanted: () => this.users.version(),
      taken: () => (this.feed.position === undefined ? undefined : placeIn(this.feed.position, shard)),
      leave: () => this.feed.leave(shard),
      follow: (why) => {
        this.feed.follow(shard);
        this.metrics.relayEndings.inc({ why });
        this.logger.warn(`shard ${shard}: this node follows the log by itself (${why})`);
        this.count();
        this.coverAgain();
      },
      apply: (batch, after) => {
        this.apply(batch, after);
      },
    });
  }

  private apply({ shard, events, moved, done, taken }: Batch, after: Position): void {
    forEachMoved(moved, (conversationId, seq) => {
      this.executor.hear(conversationId, seq);
    });
    for (const { place, event, traceparent } of events) {
      if (comparePositions(place, after) <= 0) continue;
      try {
        this.fanOut.handOut(event, traceparent);
      } catch (error) {
        // A bug: this event is left to `sync`, the others must not suffer.
        const { conversationId, seq } = event;
        this.logger.error({ err: error, conversationId, seq }, 'an event cannot be delivered live');
      }
    }
    this.feed.bringTo(shard, { done, taken, events: moved.length / MOVED_BYTES });
    this.count();
    this.coverAgain();
  }

  /** Never throws: anybody who may publish on the bus can write nonsense. */
  private hear(payload: Buffer): void {
    try {
      if (isWord(payload)) {
        const announcement = readAnnouncement(payload);
        if (announcement !== undefined) this.hearOf(announcement);
        return;
      }
      const batch = readBatch(payload);
      this.watch();
      this.chains[batch.shard]?.hear(batch, performance.now());
    } catch (error) {
      this.logger.warn(`a batch of a relay could not be taken: ${String(error)}`);
    }
  }

  private hearOf({ shard, term, ends }: Announcement): void {
    const known = this.relays.get(shard);
    if (shard >= this.chains.length || (known !== undefined && term < known.term)) return;
    const now = performance.now();
    if (ends === true) {
      this.relays.delete(shard);
      this.users.leave(shard);
      this.chains[shard]?.end(term);
    } else if (known?.term === term) {
      known.heardAt = now;
      this.users.tellHere(shard);
    } else {
      this.watch();
      this.relays.set(shard, { term, heardAt: now, toldAllAt: now, versionBefore: this.users.version() });
      this.users.tellAll(shard);
    }
  }

  private watch(): void {
    this.timer ??= setInterval(() => {
      this.tick();
    }, INTAKE_TICK_MS).unref();
  }

  private tick(): void {
    const now = performance.now();
    for (const [shard, relay] of this.relays) {
      if (now - relay.heardAt > RELAY_SILENT_MS) {
        this.relays.delete(shard);
        this.users.leave(shard);
      } else if (now - relay.toldAllAt >= TELL_AGAIN_MS) this.tellAgain(shard, relay, now);
    }
    for (const chain of this.chains) chain.tick(now);
    if (this.relays.size > 0 || this.feed.relayed.isAny) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** What it was told got lost, or it began anew: it does not know by now what it had to know the last time. */
  private tellAgain(shard: number, relay: Relay, now: number): void {
    const knows = this.chains[shard]?.known ?? -1;
    if (knows < relay.versionBefore) this.users.tellAll(shard);
    relay.toldAllAt = now;
    relay.versionBefore = this.users.version();
  }

  private coverAgain(): void {
    const waiting = [...this.uncovered];
    this.uncovered.clear();
    for (const resolve of waiting) resolve();
  }

  private count(): void {
    const relayed = this.chains.filter(({ isRelayed }) => isRelayed).length;
    this.metrics.feedShards.set({ source: 'relay' }, relayed);
    this.metrics.feedShards.set({ source: 'log' }, this.chains.length - relayed);
  }
}
