/** What one thing costs. The defaults were measured; docs/scaling.md says how and where. */
export interface UnitCosts {
  /** CPU of a gateway for a send, with its acknowledgement and its push to one device. */
  readonly sendCpuMicros: number;
  /** CPU of a gateway for each further device that a message is pushed to. */
  readonly deliveryCpuMicros: number;
  /** CPU of a gateway for an event of the log that concerns nobody here. */
  readonly feedCpuMicros: number;
  readonly projectionCpuMicros: number;
  readonly socketBytes: number;
  /** Before any socket. */
  readonly nodeBytes: number;
  /** Of the log, with the receipts that a message causes, and how many events that is. */
  readonly logBytesPerMessage: number;
  readonly eventsPerMessage: number;
  /** Rows written in PostgreSQL for a message and its receipts, and what stays of them. */
  readonly rowsPerMessage: number;
  readonly postgresBytesPerMessage: number;
  /** What one server is asked for at most. */
  readonly appendsPerSecondMax: number;
  readonly rowsPerSecondMax: number;
  readonly socketsPerNodeMax: number;
  /** Copies of the log. */
  readonly logCopies: number;
}

export interface Load {
  readonly dailyUsers: number;
  readonly messagesPerUser: number;
  /** The busiest second, in means of the day. */
  readonly peakFactor: number;
  /** Devices online at the peak, per daily user. */
  readonly socketsPerUser: number;
  /** Devices online that a message is pushed to. */
  readonly devicesPerMessage: number;
}

/** How much of a core or a node's memory is used at the peak: the rest is for the death of a neighbour. */
export interface Headroom {
  readonly cpu: number;
  readonly nodeMemoryBytes: number;
}

export const UNIT_COSTS: UnitCosts = {
  sendCpuMicros: 127,
  deliveryCpuMicros: 10,
  feedCpuMicros: 83,
  projectionCpuMicros: 43,
  socketBytes: 10_600,
  nodeBytes: 180_000_000,
  logBytesPerMessage: 1_425,
  eventsPerMessage: 1.76,
  rowsPerMessage: 7.3,
  postgresBytesPerMessage: 1_144,
  appendsPerSecondMax: 5_000,
  rowsPerSecondMax: 60_000,
  socketsPerNodeMax: 50_000,
  logCopies: 3,
};
export const HEADROOM: Headroom = { cpu: 0.5, nodeMemoryBytes: 4_000_000_000 };

const MICROS = 1_000_000;
const DAY_SECONDS = 86_400;
/** A node whose share of a core for events of others is above this is better fed by a relay. */
const FEED_SHARE_MAX = 0.25;

export interface Fleet {
  readonly messagesPerSecond: number;
  readonly eventsPerSecond: number;
  readonly sockets: number;
  readonly shards: number;
  readonly relays: number;
  readonly gateways: number;
  readonly projectors: number;
  readonly postgresServers: number;
  readonly logBytesPerDay: number;
  readonly postgresBytesPerDay: number;
  /** What asks for the most gateways. */
  readonly gatewaysBoundBy: 'cpu' | 'sockets' | 'memory' | 'spare';
  /** What gives way first when the load grows, and at how many times of this load, with this fleet. */
  readonly breaksFirst: { readonly what: string; readonly atFactor: number };
}

/** The fleet for a load. Pure arithmetic; every part can lose one of its kind, but for the stores' own copies. */
export function fleetFor(load: Load, costs: UnitCosts, headroom: Headroom): Fleet {
  const messagesPerDay = load.dailyUsers * load.messagesPerUser;
  const messages = (messagesPerDay / DAY_SECONDS) * load.peakFactor;
  const events = messages * costs.eventsPerMessage;
  const sockets = load.dailyUsers * load.socketsPerUser;
  const shards = atLeastOne(events / costs.appendsPerSecondMax);
  const ownCpu =
    messages * (costs.sendCpuMicros + Math.max(0, load.devicesPerMessage - 1) * costs.deliveryCpuMicros);
  // Without a relay every gateway decodes all of it.
  const feedShare = (events * costs.feedCpuMicros) / MICROS;
  const relayed = feedShare > FEED_SHARE_MAX;
  const cpuForOwn = headroom.cpu - (relayed ? 0 : feedShare);
  const byCpu = ownCpu / MICROS / cpuForOwn;
  const bySockets = sockets / costs.socketsPerNodeMax;
  const byMemory = (sockets * costs.socketBytes) / (headroom.nodeMemoryBytes - costs.nodeBytes);
  const needed = Math.max(byCpu, bySockets, byMemory);
  const gateways = Math.ceil(needed) + 1;
  const projectorShare = (events * costs.projectionCpuMicros) / MICROS / headroom.cpu;
  const rows = messages * costs.rowsPerMessage;
  const postgresServers = atLeastOne(rows / costs.rowsPerSecondMax);
  return {
    messagesPerSecond: messages,
    eventsPerSecond: events,
    sockets,
    shards,
    relays: relayed ? shards : 0,
    gateways,
    projectors: atLeastOne(projectorShare) + 1,
    postgresServers,
    logBytesPerDay: messagesPerDay * costs.logBytesPerMessage * costs.logCopies,
    postgresBytesPerDay: messagesPerDay * costs.postgresBytesPerMessage,
    gatewaysBoundBy:
      needed <= 1 ? 'spare' : needed === byCpu ? 'cpu' : needed === bySockets ? 'sockets' : 'memory',
    breaksFirst: first([
      ['appends to one event store', (shards * costs.appendsPerSecondMax) / events],
      ['rows written to PostgreSQL', (postgresServers * costs.rowsPerSecondMax) / rows],
      ['sockets of the gateways', gateways / bySockets],
      ['CPU of the gateways', gateways / byCpu],
      ['CPU of the projectors', atLeastOne(projectorShare) / projectorShare],
      ...(relayed
        ? []
        : [['every gateway decoding the whole log: relays', FEED_SHARE_MAX / feedShare] as const]),
    ]),
  };
}

const atLeastOne = (number: number): number => Math.max(1, Math.ceil(number));

function first(limits: readonly (readonly [string, number])[]): Fleet['breaksFirst'] {
  const [what, atFactor] = limits.reduce((a, b) => (b[1] < a[1] ? b : a));
  return { what, atFactor };
}
