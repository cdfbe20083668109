import type { Channels } from './channels';
import { everyNodeChannel, nodeChannel } from './keys';

/** How often a node writes to itself, to know that it still hears. */
const BEACON_MS = 5_000;
/** A node that has heard nothing of itself for this long connects its subscriber anew. */
const DEAF_MS = 15_000;
/** Header of one letter: the receivers of a frame are at most the members of a group, 36 bytes each. */
const HEADER_BYTES_MAX = 262_144;
const NEWLINE = 0x0a;

interface Envelope {
  readonly from: string;
  readonly topic: string;
  readonly head: unknown;
}

type Listener = (head: unknown, body: Buffer) => void;

export interface NodeMailLog {
  warn(message: string): void;
}

/**
 * Letters between nodes: a line of JSON, then bytes as they are. Each node hears what is written to it and what is
 * written to all, but not its own; what is lost is lost.
 */
export class NodeMail {
  private readonly listeners = new Map<string, Listener>();
  private readonly timer: NodeJS.Timeout;
  private heardAt = performance.now();

  constructor(
    readonly node: string,
    private readonly channels: Channels,
    private readonly deaf: () => void,
    private readonly log: NodeMailLog,
    private readonly times: { readonly beaconMs: number; readonly deafMs: number } = {
      beaconMs: BEACON_MS,
      deafMs: DEAF_MS,
    },
  ) {
    const take = (payload: Buffer): void => {
      this.take(payload);
    };
    for (const channel of [nodeChannel(node), everyNodeChannel]) {
      channels.subscribe(channel, take).catch(() => undefined);
    }
    this.timer = setInterval(() => {
      this.beacon();
    }, times.beaconMs).unref();
  }

  /** One listener a topic. */
  on(topic: string, listener: Listener): void {
    this.listeners.set(topic, listener);
  }

  /** @param to a node, or `all` others. Never throws, never waits. */
  send(to: string, topic: string, head: unknown, body: Buffer = Buffer.alloc(0)): void {
    const envelope: Envelope = { from: this.node, topic, head };
    const channel = to === 'all' ? everyNodeChannel : nodeChannel(to);
    const letter = Buffer.concat([Buffer.from(`${JSON.stringify(envelope)}\n`), body]);
    this.channels.publish(channel, letter).catch(() => undefined);
  }

  close(): void {
    clearInterval(this.timer);
    this.channels.unsubscribe(nodeChannel(this.node));
    this.channels.unsubscribe(everyNodeChannel);
  }

  /** A subscription that a server or a proxy dropped without a word would otherwise stay lost for ever. */
  private beacon(): void {
    const channel = nodeChannel(this.node);
    this.channels.publish(channel, Buffer.from('\n')).then(
      () => {
        if (performance.now() - this.heardAt < this.times.deafMs) return;
        this.heardAt = performance.now();
        this.log.warn('nothing is heard from redis any more: subscribing anew');
        this.deaf();
      },
      () => {
        // While Redis is away there is nothing to hear.
        this.heardAt = performance.now();
      },
    );
  }

  private take(payload: Buffer): void {
    const end = payload.indexOf(NEWLINE);
    if (end === 0) {
      this.heardAt = performance.now();
      return;
    }
    if (end < 0 || end > HEADER_BYTES_MAX) return;
    try {
      const { from, topic, head } = JSON.parse(payload.toString('utf8', 0, end)) as Envelope;
      if (from !== this.node) this.listeners.get(topic)?.(head, payload.subarray(end + 1));
    } catch (error) {
      // Anybody who may publish in Redis can write nonsense; it must not end the node.
      this.log.warn(`a letter from another node could not be taken: ${String(error)}`);
    }
  }
}
