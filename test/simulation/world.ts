import { uuidv5 } from '../../src/kernel/uuid';
import {
  AddMembersCommand,
  ChangeConversationCommand,
  LeaveConversationCommand,
  RemoveMemberCommand,
  StartConversationCommand,
} from '../../src/application/commands/commands';
import { STATE_LIMITS } from '../../src/domain/conversation/state';
import { asConversationId, asUserId, type ConversationId, type UserId } from '../../src/kernel/ids';
import type { SocketDirectory } from '../../src/application/ports/socket-directory';
import { MemorySocketDirectory } from '../../src/infrastructure/memory/memory-socket-directory';
import { DEFAULT_LIMITS } from '../../src/protocol/limits';
import { assertNever } from '../../src/kernel/assert-never';
import { TrueLog } from './chronicle';
import { Device } from './device';
import { disturbDevice } from './device-faults';
import type { Mutant } from './mutants';
import { Link, type DeviceSocket, type NetworkWeather } from './network';
import { NodeClock, NodeProcess } from './node';
import { CALM, NodeLog, type LogWeather } from './node-log';
import { Random } from './random';
import { RawSender } from './raw-sender';
import { ReadSide } from './read-side';
import { disturbReadSide } from './read-side-faults';
import type { Scenario, Step } from './scenario';
import type { Trace } from './trace';
import type { VirtualTime } from './virtual-time';
import { WireInspector } from './wire-inspector';

const NAMESPACE = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';
/** Small enough for keys to leave the window in a scenario of some dozen messages. */
const DEDUPE_WINDOW = 8;
const BETWEEN_READS_MS = 20;
const EMOJIS = ['👍', '🎉'];

/** Members without a device; the same for all scenarios, for a thousand hashes are a good part of one. */
const SILENT = Array.from({ length: 1_000 }, (_, n) => asUserId(uuidv5(`silent ${n}`, NAMESPACE)));

/** From about here on a group is very large; that it may have just fallen below does no harm. */
const VERY_LARGE_MIN = 990;

interface Wire {
  readonly link: Link;
  readonly inspector: WireInspector;
}

/** Everything of one scenario: nodes on one log, devices on one network, and one read side. */
export class World {
  readonly log: TrueLog;
  readonly readSide: ReadSide;
  readonly users: readonly UserId[];
  readonly devices: readonly Device[];
  readonly wires: Wire[] = [];
  readonly weather: LogWeather;
  private readonly nodes: NodeProcess[] = [];
  private readonly logs: NodeLog[] = [];
  private readonly directory: SocketDirectory;
  private readonly network: NetworkWeather;
  private readonly random: Random;
  private isCalm = false;
  private starts = 0;
  private groups: ConversationId[] = [];

  constructor(
    readonly scenario: Scenario,
    readonly time: VirtualTime,
    readonly trace: Trace,
    private readonly mutant: Mutant | undefined,
  ) {
    const { seed } = scenario;
    // The product's bound is a constant that its state is folded with; here it is met after a few messages.
    Object.assign(STATE_LIMITS, { dedupeWindow: DEDUPE_WINDOW });
    this.random = new Random(seed, 'world');
    this.log = new TrueLog(trace);
    this.users = Array.from({ length: scenario.users }, (_, n) => asUserId(uuidv5(`user ${n}`, NAMESPACE)));
    this.users.forEach((userId, n) => {
      trace.rename(userId, `u${n}`);
    });
    this.weather = { ...scenario.weather };
    this.network = { latencyMs: scenario.networkLatencyMs };
    this.readSide = new ReadSide(this.log, time, new Random(seed, 'read side'), trace);
    this.readSide.lagMs = scenario.projectionLagMs;
    this.readSide.crashes = scenario.projectorCrashes;
    this.directory = new MemorySocketDirectory(new NodeClock(time), DEFAULT_LIMITS.socketsPerUserMax);
    for (let n = 0; n < scenario.nodes; n++) this.startNode(n);
    const around = {
      time,
      random: new Random(seed, 'devices'),
      trace,
      log: this.log,
      dial: (device: Device, socket: DeviceSocket) => {
        this.dial(device.userId, device.name, socket);
        if (socket.link !== undefined) socket.link.strandedMs = device.strandNextMs;
        device.strandNextMs = undefined;
      },
    };
    this.devices = scenario.devices.map(
      ({ user, syncWindow }, n) => new Device(this.user(user), `d${n}`, around, syncWindow),
    );
  }

  /** Begins the scenario; its steps come by themselves. */
  begin(): void {
    const { groups, steps } = this.scenario;
    this.groups = groups.map((_, n) => asConversationId(uuidv5(`group ${n}`, NAMESPACE)));
    groups.forEach((_, n) => {
      this.trace.rename(this.group(n), `g${n}`);
      this.startGroup(n, this.group(n));
    });
    this.devices.forEach((device) => {
      this.time.after(this.random.next() * 100, () => {
        device.start();
      });
    });
    for (const step of steps) {
      this.time.after(step.at + 1, () => {
        this.take(step);
      });
    }
  }

  /** Every fault ends; what it broke has to mend by itself from here on. */
  calm(): void {
    this.isCalm = true;
    this.trace.note('calm    faults have stopped');
    Object.assign(this.weather, CALM);
    this.network.latencyMs = Math.min(this.network.latencyMs, 10);
    this.readSide.mode = 'running';
    this.readSide.wake();
    this.readSide.crashes = 0;
    this.readSide.lagMs = 5;
    for (const log of this.logs) log.isCut = false;
    for (const [n, node] of this.nodes.entries()) if (!node.isUp) this.startNode(n);
    for (const { link } of this.wires) {
      link.unblock();
      link.read();
    }
    for (const device of this.devices) device.start();
  }

  /** Of a very large group, devices are told what they look at: each looks at one that it lacks something of. */
  lookAround(): void {
    for (const { client, userId, progress } of this.devices) {
      for (const chronicle of this.log.chronicles.values()) {
        if (chronicle.memberIds.length < VERY_LARGE_MIN || !chronicle.isMember(userId)) continue;
        if ((progress.get(chronicle.id) ?? -1) === chronicle.lastVisible(userId)) continue;
        client?.focus(chronicle.id);
        break;
      }
    }
  }

  user(n: number): UserId {
    return this.users[n] as UserId;
  }

  private group(n: number): ConversationId {
    return this.groups[n] as ConversationId;
  }

  private startNode(n: number): void {
    const { seed, heartbeatMs } = this.scenario;
    const run = ++this.starts;
    this.trace.note(`node    n${n} starts`);
    const log = new NodeLog(this.log, this.weather, this.time, new Random(seed, `log ${run}`));
    this.logs[n] = log;
    this.nodes[n] = new NodeProcess({
      time: this.time,
      log: this.mutant?.log?.(log) ?? log,
      mortal: log,
      readSide: this.readSide,
      directory: this.directory,
      heartbeatMs,
      ...(this.mutant?.instead === undefined ? {} : { instead: this.mutant.instead }),
      ...(this.mutant?.session === undefined ? {} : { session: this.mutant.session }),
    });
  }

  private startGroup(n: number, conversationId: ConversationId): void {
    const { owner, members, isShared, silent } = this.scenario.groups[n] as Scenario['groups'][number];
    const memberIds = [...members.map((user) => this.user(user)), ...SILENT.slice(0, silent)];
    const settings = { whoMayInvite: 'everyone', historyVisibility: isShared ? 'shared' : 'joined' } as const;
    const by = this.user(owner);
    this.insist(new StartConversationCommand({ by, kind: 'group', conversationId, memberIds, settings }));
  }

  /** A command by REST, once: its answer may get lost with its node. */
  private execute(command: object): void {
    const up = this.nodes.filter(({ isUp }) => isUp);
    if (up.length === 0) return;
    this.random
      .pick(up)
      .bus.execute(command)
      .catch((error: unknown) => {
        this.trace.broken('20 explicit errors', `${command.constructor.name} met a bug: ${String(error)}`);
      });
  }

  /** The same until it is done: conversations have to be there for anything to happen. */
  private insist(command: StartConversationCommand, attempt = 0): void {
    const { conversationId } = command.input;
    if (conversationId === undefined || this.log.chronicle(conversationId).head >= 0 || attempt > 50) return;
    this.execute(command);
    this.time.after(1_000, () => {
      this.insist(command, attempt + 1);
    });
  }

  private dial(userId: UserId, name: string, socket: DeviceSocket): void {
    const up = this.nodes.filter(({ isUp }) => isUp);
    // A balancer knows who is up, mostly.
    const among = up.length === 0 || this.random.chance(0.1) ? this.nodes : up;
    const node = this.random.pick(among);
    const link = new Link(node, socket, this.time, this.random, this.network);
    socket.link = link;
    const inspector = new WireInspector(this.log, this.trace, userId, name);
    link.tap = inspector;
    this.wires.push({ link, inspector });
    this.trace.note(`dial    ${name} to n${this.nodes.indexOf(node)}`);
    link.open();
  }

  private take(step: Step): void {
    if (this.isCalm) return;
    this.trace.note(`step    ${JSON.stringify(step)}`);
    switch (step.kind) {
      case 'send':
        for (let n = 0; n < step.count; n++) {
          const body = `m${n} of ${step.at}`;
          this.device(step.device).send({ conversationId: this.group(step.conversation) }, body);
        }
        return;
      case 'direct': {
        const device = this.device(step.device);
        const to = this.user(step.to);
        if (to !== device.userId) device.send({ to }, `direct at ${step.at}`);
        return;
      }
      case 'raw': {
        const conversationId = this.group(step.conversation);
        const userId = this.user(step.user);
        const sends = step.keys.map(({ key, body }) => ({ conversationId, key, body }));
        for (let n = 0; n < step.sockets; n++) {
          this.dial(userId, `raw${n}`, new RawSender(userId, `raw${n}`, sends, this.log, this.trace));
        }
        return;
      }
      case 'edit':
      case 'delete':
      case 'react':
      case 'unreact':
      case 'read':
        this.touch(step);
        return;
      case 'add':
      case 'remove':
      case 'leave':
      case 'rename':
        this.govern(step);
        return;
      case 'start':
        this.groups[step.conversation] = asConversationId(
          uuidv5(`group ${step.conversation} at ${step.at}`, NAMESPACE),
        );
        this.startGroup(step.conversation, this.group(step.conversation));
        return;
      case 'focus':
        this.device(step.device).client?.focus(
          step.conversation === undefined ? undefined : this.group(step.conversation),
        );
        return;
      case 'killDevice':
      case 'reset':
      case 'strand':
      case 'deviceClock':
      case 'block':
      case 'stall':
        disturbDevice(step, this.device(step.device), this.time, this.random);
        return;
      case 'killNode':
      case 'drainNode':
      case 'cutLog':
      case 'clock':
        this.disturbNode(step);
        return;
      case 'projector':
        disturbReadSide(step, this.readSide, { time: this.time, random: this.random, devices: this.devices });
        return;
      default:
        assertNever(step);
    }
  }

  private device(n: number): Device {
    return this.devices[n] as Device;
  }

  private touch(step: Extract<Step, { kind: 'edit' | 'delete' | 'react' | 'unreact' | 'read' }>): void {
    const { client, userId } = this.device(step.device);
    const id = this.group(step.conversation);
    const known = client?.conversations.get(id);
    if (client === undefined || known === undefined) return;
    if (step.kind === 'read') {
      step.picks.forEach((pick, n) => {
        this.time.after(n * BETWEEN_READS_MS, () => {
          if (this.device(step.device).client === client) client.read(id, Math.max(0, known.headSeq - pick));
        });
      });
      return;
    }
    const isOwn = step.kind === 'edit' || step.kind === 'delete';
    const messages = known.messages.filter(
      ({ seq, senderId }) => seq !== undefined && (!isOwn || senderId === userId),
    );
    const seq = messages.at(-1 - step.pick)?.seq;
    if (seq === undefined) return;
    const emoji = EMOJIS[step.pick % EMOJIS.length] as string;
    const done =
      step.kind === 'edit'
        ? client.edit(id, seq, `edited at ${step.at}`)
        : step.kind === 'delete'
          ? client.delete(id, seq)
          : client.react(id, seq, emoji, step.kind === 'react');
    // A refusal, or a lost line: people try again, and these do not.
    done.catch(() => undefined);
  }

  private govern(step: Extract<Step, { kind: 'add' | 'remove' | 'leave' | 'rename' }>): void {
    const conversationId = this.group(step.conversation);
    const by = this.user((this.scenario.groups[step.conversation] as Scenario['groups'][number]).owner);
    if (step.kind === 'rename') {
      this.execute(new ChangeConversationCommand({ by, conversationId, title: step.title }));
      return;
    }
    const userId = this.user(step.user);
    if (step.kind === 'add') this.execute(new AddMembersCommand({ by, conversationId, userIds: [userId] }));
    else if (step.kind === 'leave') {
      this.execute(new LeaveConversationCommand({ by: userId, conversationId }));
    } else this.execute(new RemoveMemberCommand({ by, conversationId, userId }));
  }

  private disturbNode(step: Extract<Step, { kind: 'killNode' | 'drainNode' | 'cutLog' | 'clock' }>): void {
    const node = this.nodes[step.node] as NodeProcess;
    const log = this.logs[step.node] as NodeLog;
    if (!node.isUp) return;
    switch (step.kind) {
      case 'killNode':
        this.stopNode(step.node, step.isSilent, step.forMs);
        return;
      case 'drainNode':
        void node.drain().then(() => {
          if (this.nodes[step.node] === node && node.isUp) this.stopNode(step.node, false, step.forMs);
        });
        return;
      case 'cutLog':
        log.isCut = true;
        this.time.after(step.forMs, () => {
          log.isCut = false;
        });
        return;
      case 'clock':
        node.clock.offsetMs += step.byMs;
        return;
      default:
        assertNever(step);
    }
  }

  private stopNode(n: number, isSilent: boolean, forMs: number): void {
    this.trace.note(`node    n${n} is killed`);
    this.nodes[n]?.die(isSilent);
    const again = (): void => {
      if (this.nodes[n]?.isUp === false) this.startNode(n);
    };
    if (this.isCalm) again();
    else this.time.after(forMs, again);
  }
}
