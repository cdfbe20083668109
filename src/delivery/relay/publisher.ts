import { Logger } from '@nestjs/common';
import type { LogEvent } from '../../application/ports/event-log';
import type { RelayBus } from '../../application/ports/relay-bus';
import type { Audience } from '../../domain/conversation/audience';
import type { Recorded } from '../../domain/conversation/events';
import { conversationOfStream } from '../../domain/conversation/streams';
import { toSeq, type UserId } from '../../kernel/ids';
import { POSITION_START, type Position } from '../../kernel/position';
import type { Metrics } from '../../observability/metrics';
import type { Feed, FeedObserver } from '../feed';
import type { Outlet } from '../outlet';
import { planned, type Form, type PlannedEvent } from '../planned';
import { moved, writeEvent } from './batch';
import { KnownUsers, type KnownNode } from './known-users';
import { MovedTrail, NodeChain, type RelaySide } from './node-chain';
import { readNodeWord, write } from './words';

/** How often nodes are told how far the relay is, when that is all there is to tell. */
export const POSITION_EVERY_MS = 100;
/** How often a node hears of the relay when nothing moves, and all nodes hear that it is there. */
export const BEAT_MS = 500;
/** How long it must have been less than half of the rate until the nodes follow the log themselves again. */
export const REST_AFTER_MS = 60_000;
const SECOND_MS = 1_000;
/** Forms of one event in one entry: receipts of large groups have one for each who reads them. */
export const ENTRY_FORMS_MAX = 256;

export interface PublisherOptions {
  readonly bus: RelayBus;
  readonly shard: number;
  readonly term: number;
  /** Events a second from which on nodes are relayed to. */
  readonly above: number;
  readonly metrics: Metrics;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** How the feed is that hands events to the publisher. */
export type RelayFeed = Pick<Feed, 'position' | 'handled' | 'status'>;

interface Part {
  readonly forms: Map<Form, UserId[]>;
  members: UserId[] | undefined;
}

/**
 * The relay's end of a feed: events whose receivers are known go to the nodes that have them, each form encoded once,
 * in one unbroken chain of batches for each node. Below the rate it says nothing, and nobody listens.
 */
export class RelayPublisher implements Outlet, FeedObserver {
  private readonly logger = new Logger(RelayPublisher.name);
  private readonly users = new KnownUsers();
  private readonly chains = new Map<string, NodeChain>();
  private readonly side: RelaySide;
  private readonly now: () => number;
  private feed: RelayFeed | undefined;
  private chainsBegun = 0;
  private isActive = false;
  private seen = 0;
  private second = { at: -Infinity, seen: 0 };
  private busyAt = -Infinity;
  private announcedAt = -Infinity;
  private isFlushing = false;
  private timer: NodeJS.Timeout | undefined;
  private endListening: () => void = () => undefined;
  private readonly isAnywhere = (userId: UserId): boolean => this.users.has(userId);

  constructor(private readonly options: PublisherOptions) {
    const { bus, shard, term, metrics, now = () => performance.now() } = options;
    this.now = now;
    this.side = {
      ...{ shard, term, trail: new MovedTrail() },
      places: () => ({
        taken: this.feed?.position ?? POSITION_START,
        done: this.feed?.handled ?? POSITION_START,
      }),
      send: (node, payload) => bus.send(node, payload),
      count: (outcome, bytes) => {
        metrics.relayBatches.inc({ outcome });
        metrics.relayBytes.inc(bytes);
      },
    };
  }

  get isIdle(): boolean {
    return this.chains.size === 0;
  }

  /** To be called once the feed knows where it stands. */
  start(feed: RelayFeed): void {
    this.feed = feed;
    const { bus, shard } = this.options;
    this.endListening = bus.onNodes(shard, (payload) => {
      this.hear(payload);
    });
    this.timer = setInterval(() => {
      this.tick();
    }, POSITION_EVERY_MS).unref();
  }

  /** The nodes follow the log themselves. */
  stop(): void {
    clearInterval(this.timer);
    this.endListening();
    if (this.isActive) this.rest();
  }

  /** Of every event, before it is handed out. */
  observe({ stream, revision }: LogEvent): void {
    this.seen++;
    if (this.chains.size === 0) return;
    const id = conversationOfStream(stream);
    const entry = id === undefined ? undefined : moved(id, toSeq(revision));
    if (entry !== undefined) this.side.trail.push(entry);
  }

  deliver(
    recorded: Recorded,
    receivers: Iterable<UserId>,
    audience: Audience,
    origin: { readonly position: Position; readonly traceparent: string | undefined },
  ): void {
    const event = planned(recorded, receivers, audience, this.isAnywhere);
    for (const [name, part] of this.partsOf(event, audience)) {
      const chain = this.chains.get(name);
      if (chain === undefined) continue;
      for (const one of entriesOf(event, part)) {
        chain.add(writeEvent({ place: origin.position, event: one, traceparent: origin.traceparent }));
      }
      this.flushSoon();
    }
  }

  /** What happens by the passing of time; the timer calls it. */
  tick(): void {
    const now = this.now();
    this.weigh(now);
    // Without the log it has nothing to say, and the nodes try for themselves.
    if (!this.isActive || this.feed?.status().subscribed !== true) return;
    if (now - this.announcedAt >= BEAT_MS) this.announce(now);
    for (const { name } of this.users.expire(now)) this.chains.delete(name);
    for (const chain of this.chains.values()) {
      if (chain.isBehind || now - chain.sentAt >= BEAT_MS) chain.flush();
    }
    this.options.metrics.relayNodes.set(this.chains.size);
  }

  /** How many events there were in the last second, and what follows from it. */
  private weigh(now: number): void {
    if (now - this.second.at < SECOND_MS) return;
    const { above, metrics } = this.options;
    const perSecond = ((this.seen - this.second.seen) * SECOND_MS) / (now - this.second.at);
    metrics.relayEvents.inc(this.seen - this.second.seen);
    this.second = { at: now, seen: this.seen };
    if (perSecond >= above / 2) this.busyAt = now;
    if (perSecond >= above && !this.isActive) {
      this.isActive = true;
      metrics.relayActive.inc();
      this.logger.log(`shard ${this.options.shard}: ${Math.round(perSecond)} events/s, relaying begins`);
    } else if (this.isActive && now - this.busyAt >= REST_AFTER_MS) this.rest();
  }

  private announce(now: number, ends = false): void {
    this.announcedAt = now;
    const { bus, shard, term } = this.options;
    bus.announce(write({ kind: 'announcement', shard, term, ...(ends ? { ends } : {}) }));
  }

  private rest(): void {
    this.isActive = false;
    this.announce(this.now(), true);
    for (const name of this.chains.keys()) this.users.forget(name);
    this.chains.clear();
    this.options.metrics.relayActive.dec();
    this.options.metrics.relayNodes.set(0);
    this.logger.log(`shard ${this.options.shard}: relaying ends`);
  }

  /** Never throws: anybody who may publish on the bus can write nonsense. */
  private hear(payload: Buffer): void {
    if (!this.isActive) return;
    try {
      const word = readNodeWord(payload);
      if (word === undefined) return;
      const node = this.users.hear(word, this.now());
      if (word.kind === 'gone') this.chains.delete(word.node);
      if (node !== undefined) this.plansFor(node);
    } catch (error) {
      this.logger.warn(`a word of a node could not be taken: ${String(error)}`);
    }
  }

  /** From here on what is planned is planned for these users of the node, and the node is told so at once. */
  private plansFor({ name, version }: KnownNode): void {
    if (version === undefined) return;
    let chain = this.chains.get(name);
    if (chain === undefined) {
      chain = new NodeChain(this.side, name, ++this.chainsBegun, version);
      this.chains.set(name, chain);
    } else chain.becomes(version);
    chain.flush();
  }

  /** Who of an event's receivers is where. */
  private partsOf(
    { forms, reach, veryLarge }: PlannedEvent,
    { members }: Audience,
  ): ReadonlyMap<string, Part> {
    const parts = new Map<string, Part>();
    const partOf = ({ name }: KnownNode): Part => {
      const part = parts.get(name) ?? { forms: new Map(), members: undefined };
      parts.set(name, part);
      return part;
    };
    for (const form of forms) {
      for (const userId of form.userIds) {
        for (const node of this.users.nodesOf(userId)) {
          const own = partOf(node).forms;
          const users = own.get(form);
          if (users === undefined) own.set(form, [userId]);
          else users.push(userId);
        }
      }
    }
    // Authors are told in sums, and hints go to members, who may be on nodes that get no form of the event.
    if (reach === undefined && veryLarge === undefined) return parts;
    for (const userId of members) {
      for (const node of this.users.nodesOf(userId)) {
        if (reach === undefined && !parts.has(node.name)) continue;
        (partOf(node).members ??= []).push(userId);
      }
    }
    return parts;
  }

  private flushSoon(): void {
    if (this.isFlushing) return;
    this.isFlushing = true;
    setImmediate(() => {
      this.isFlushing = false;
      for (const chain of this.chains.values()) if (!chain.isEmpty) chain.flush();
    });
  }
}

/** One event for one node: several entries when there are very many forms, because each user gets one of them at most. */
function* entriesOf(event: PlannedEvent, { forms, members = [] }: Part): Generator<PlannedEvent> {
  const own = Array.from(forms, ([{ bytes }, userIds]) => ({ bytes, userIds }));
  const { veryLarge } = event;
  let at = 0;
  do {
    yield {
      ...event,
      forms: own.slice(at, at + ENTRY_FORMS_MAX),
      veryLarge: veryLarge === undefined ? undefined : { ...veryLarge, members },
    };
    at += ENTRY_FORMS_MAX;
  } while (at < own.length);
}
