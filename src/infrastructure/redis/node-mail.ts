import type { Channels } from './channels';
import { everyNodeChannel, nodeChannel } from './keys';

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

  constructor(
    readonly node: string,
    private readonly channels: Channels,
    private readonly log: NodeMailLog,
  ) {
    const take = (payload: Buffer): void => {
      this.take(payload);
    };
    for (const channel of [nodeChannel(node), everyNodeChannel]) {
      channels.subscribe(channel, take).catch(() => undefined);
    }
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
    this.channels.unsubscribe(nodeChannel(this.node));
    this.channels.unsubscribe(everyNodeChannel);
  }

  private take(payload: Buffer): void {
    const end = payload.indexOf(NEWLINE);
    if (end <= 0 || end > HEADER_BYTES_MAX) return;
    try {
      const { from, topic, head } = JSON.parse(payload.toString('utf8', 0, end)) as Envelope;
      if (from !== this.node) this.listeners.get(topic)?.(head, payload.subarray(end + 1));
    } catch (error) {
      // Anybody who may publish in Redis can write nonsense; it must not end the node.
      this.log.warn(`a letter from another node could not be taken: ${String(error)}`);
    }
  }
}
