import { Executor, WARM_STATES_MAX } from '../../src/application/executor';
import { COMMAND_HANDLERS } from '../../src/application/handlers';
import { AccessTokens, type AccessClaims } from '../../src/application/ports/access-tokens';
import { DeviceRegistry } from '../../src/application/ports/device-registry';
import { EventLog } from '../../src/application/ports/event-log';
import { MessageIndex } from '../../src/application/ports/message-index';
import { NodeNotices } from '../../src/application/ports/node-notices';
import { EphemeralBus, LastSeenPrivacy, PresenceStore } from '../../src/application/ports/presence';
import { ProjectionProgress } from '../../src/application/ports/projection-progress';
import { RateLimits } from '../../src/application/ports/rate-limits';
import { HistoryReads, InboxReads } from '../../src/application/ports/read-models';
import { SocketDirectory } from '../../src/application/ports/socket-directory';
import { UserDirectory } from '../../src/application/ports/user-directory';
import { ApplicationSettings } from '../../src/application/settings';
import { CONFIG, type Config } from '../../src/config/config';
import { Audiences } from '../../src/delivery/audiences';
import { DeliveryModule } from '../../src/delivery/delivery.module';
import { FrameRouter } from '../../src/gateway/frame-router';
import { GATEWAY_LIMITS, GATEWAY_LIMITS_DEFAULT } from '../../src/gateway/gateway-limits';
import { GATEWAYS } from '../../src/gateway/gateways';
import { Session } from '../../src/gateway/session';
import { Sockets } from '../../src/gateway/sockets';
import { conversationOfStream } from '../../src/domain/conversation/streams';
import { MemoryEphemeralBus } from '../../src/infrastructure/memory/memory-ephemeral-bus';
import { MemoryNodeNotices } from '../../src/infrastructure/memory/memory-node-notices';
import { MemoryRelayBus } from '../../src/infrastructure/memory/memory-relay-bus';
import { RelayBus } from '../../src/application/ports/relay-bus';
import { MemoryRateLimits } from '../../src/infrastructure/memory/memory-rate-limits';
import { Clock } from '../../src/kernel/clock';
import { asMillis, asUserId, type Millis } from '../../src/kernel/ids';
import { Metrics } from '../../src/observability/metrics';
import { DEFAULT_LIMITS } from '../../src/protocol/limits';
import { CommandBus } from '@nestjs/cqrs';
import type { Link, Listener } from './network';
import type { NodeLog } from './node-log';
import { LaggingInbox, LaggingIndex, LaggingProgress, type ReadSide } from './read-side';
import type { VirtualTime } from './virtual-time';
import { Wiring } from './wiring';

/** Under which Nest keeps the frame that a method is subscribed to. */
const HIGH_WATER_BYTES = 6_000;
/** So few that states are dropped and loaded again. */
const WARM_STATES = 3;
const TOKEN_TTL_MS = 86_400_000;

/** One for all nodes of all scenarios: nobody reads it, and making one costs more than a node. */
const metrics = new Metrics();

export class NodeClock extends Clock {
  offsetMs = 0;

  constructor(private readonly time: VirtualTime) {
    super();
  }

  now(): Millis {
    return asMillis(this.time.now + this.offsetMs);
  }
}

/** A token is the user's id; who they are is not what is simulated. */
class OpenDoor extends AccessTokens {
  constructor(private readonly time: VirtualTime) {
    super();
  }

  override async verify(token: string): Promise<AccessClaims | undefined> {
    await this.time.sleep(0);
    // Far enough ahead for clocks that jump.
    return {
      userId: asUserId(token),
      signInId: 'sign-in',
      expiresAt: asMillis(this.time.now + TOKEN_TTL_MS),
    };
  }
}

class Everybody extends UserDirectory {
  override existing(ids: readonly never[]): Promise<ReadonlySet<never>> {
    return Promise.resolve(new Set(ids));
  }
}

/** Presence is a hint, and none of the promises here is about it. */
class NobodyWatches extends PresenceStore {
  override follow(): Promise<void> {
    return Promise.resolve();
  }

  override unfollow(): void {
    return;
  }

  override beat(): Promise<void> {
    return Promise.resolve();
  }

  override set(): Promise<void> {
    return Promise.resolve();
  }

  override leave(): Promise<void> {
    return Promise.resolve();
  }

  override get(): Promise<readonly never[]> {
    return Promise.resolve([]);
  }

  override onChange(): () => void {
    return () => undefined;
  }
}

interface Handler {
  execute(command: object): Promise<unknown>;
}

/** Handlers by the name of their command, as their decorators pair them. */
class DirectBus {
  private readonly handlers = new Map<string, () => Handler>();

  constructor(wiring: () => Wiring) {
    for (const handler of COMMAND_HANDLERS) {
      const name = handler.name.replace(/Handler$/, 'Command');
      const token = handler as unknown as abstract new (...args: never[]) => Handler;
      this.handlers.set(name, () => wiring().get(token));
    }
  }

  execute(command: object): Promise<unknown> {
    const handler = this.handlers.get(command.constructor.name);
    if (handler === undefined) throw new Error(`nobody handles ${command.constructor.name}`);
    return handler().execute(command);
  }
}

export interface NodeOptions {
  readonly time: VirtualTime;
  readonly log: EventLog;
  /** What of the log dies with the process. */
  readonly mortal: NodeLog;
  readonly readSide: ReadSide;
  /** Which sockets a user has on all nodes; outlives each of them. */
  readonly directory: SocketDirectory;
  readonly heartbeatMs: number;
  /** Stand-ins that come before all others: where a mutant is put in. */
  readonly instead?: (wiring: Wiring) => readonly (readonly [unknown, unknown])[];
  readonly session?: typeof Session;
}

/** One run of one node's process: the real write side, delivery and gateway, on a log and sockets of ours. */
export class NodeProcess implements Listener {
  isUp = true;
  readonly clock: NodeClock;
  readonly bus: DirectBus;
  private readonly wiring: Wiring;
  private readonly links = new Set<Link>();

  constructor(private readonly options: NodeOptions) {
    const { time, log, readSide, heartbeatMs } = options;
    this.clock = new NodeClock(time);
    this.bus = new DirectBus(() => this.wiring);
    const config = {
      rateLimits: false,
      heartbeatMs,
      authTimeoutMs: 10_000,
      limits: DEFAULT_LIMITS,
    } as Config;
    const given: (readonly [unknown, unknown])[] = [
      [CONFIG, config],
      [GATEWAY_LIMITS, { ...GATEWAY_LIMITS_DEFAULT, outboundHighWaterBytes: HIGH_WATER_BYTES }],
      [Clock, this.clock],
      [Metrics, metrics],
      [EventLog, log],
      [MessageIndex, new LaggingIndex(readSide)],
      [ProjectionProgress, new LaggingProgress(readSide)],
      [InboxReads, new LaggingInbox(readSide)],
      [HistoryReads, {}],
      [UserDirectory, new Everybody()],
      [ApplicationSettings, { editWindowMs: Number.MAX_SAFE_INTEGER, membersMax: 2_000 }],
      [AccessTokens, new OpenDoor(time)],
      [DeviceRegistry, { seen: () => Promise.resolve() }],
      [PresenceStore, new NobodyWatches()],
      [LastSeenPrivacy, { hiding: () => Promise.resolve(new Set()) }],
      [EphemeralBus, new MemoryEphemeralBus()],
      [NodeNotices, new MemoryNodeNotices()],
      [RelayBus, new MemoryRelayBus()],
      [RateLimits, new MemoryRateLimits(() => time.now)],
      [SocketDirectory, options.directory],
      [CommandBus, this.bus],
      [WARM_STATES_MAX, WARM_STATES],
    ];
    this.wiring = new Wiring(given);
    for (const [token, value] of options.instead?.(this.wiring) ?? []) this.wiring.put(token, value);
    const audiences = this.wiring.get(Audiences);
    options.mortal.canMiss = ({ stream }) => {
      const id = conversationOfStream(stream);
      return id !== undefined && audiences.get(id) !== undefined;
    };
    this.bindFrames();
    void this.wiring.get(DeliveryModule).onApplicationBootstrap();
  }

  get executor(): Executor {
    return this.wiring.get(Executor);
  }

  accept(link: Link): Session | undefined {
    const sockets = this.wiring.get(Sockets);
    if (sockets.isDraining) return undefined;
    const session = new (this.options.session ?? Session)(link.asSocket(), link as never, sockets);
    this.links.add(link);
    sockets.add(session);
    return session;
  }

  /** As a rolling restart does it. Resolves when everybody was sent away. */
  async drain(): Promise<void> {
    await this.wiring.get(Sockets).drain();
  }

  /** As `kill -9` does it; `isSilent`: as a power cut does. */
  die(isSilent: boolean): void {
    this.isUp = false;
    this.options.mortal.die();
    for (const link of this.links) link.die(isSilent);
  }

  private bindFrames(): void {
    const router = this.wiring.get(FrameRouter);
    for (const gateway of GATEWAYS) router.adopt(this.wiring.get<object>(gateway));
    router.onApplicationBootstrap();
  }
}
