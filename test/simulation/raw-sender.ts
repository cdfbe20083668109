import type { ConversationId, UserId } from '../../src/kernel/ids';
import type { ServerFrame } from '../../src/protocol/frames';
import type { TrueLog } from './chronicle';
import { DeviceSocket } from './network';
import type { Trace } from './trace';

/** What a device without manners sends: the same key from several sockets at once, and for other content. */
export interface RawSend {
  readonly conversationId: ConversationId;
  readonly key: string;
  readonly body: string;
}

/**
 * A device written from PROTOCOL.md alone that sends without waiting for answers, and goes away. Whatever it is told is
 * held against the log.
 */
export class RawSender extends DeviceSocket {
  private readonly acked: number[] = [];

  constructor(
    private readonly userId: UserId,
    deviceId: string,
    private readonly sends: readonly RawSend[],
    private readonly log: TrueLog,
    private readonly trace: Trace,
  ) {
    super();
    this.onopen = () => {
      this.send(JSON.stringify({ event: 'auth', id: 'auth', data: { token: userId, deviceId } }));
      sends.forEach(({ conversationId, key, body }, n) => {
        const data = { conversationId, clientMessageId: key, content: { type: 'text', body } };
        this.send(JSON.stringify({ event: 'message.send', id: String(n), data }));
      });
    };
    this.onmessage = ({ data }: { data: unknown }) => {
      this.hear(JSON.parse(String(data)) as ServerFrame);
    };
  }

  private hear(frame: ServerFrame): void {
    const sent = this.sends[Number(frame.id)];
    if (sent === undefined) return;
    const chronicle = this.log.chronicle(sent.conversationId);
    if (frame.event === 'message.ack') {
      const { seq, duplicate } = frame.data;
      const label = `${chronicle.name}/${seq}`;
      this.trace.note(`raw     ${sent.key} is acknowledged ${label}${duplicate ? ' again' : ''}`);
      const stored = chronicle.messageAt(seq);
      if (stored?.clientMessageId !== sent.key || stored.by !== this.userId)
        this.trace.broken('1 nothing acknowledged is lost', `${label} was acknowledged for ${sent.key}`);
      else if (stored.content['body'] !== sent.body)
        this.trace.broken('5 once', `${label} was acknowledged for other content than it has`);
      if (!duplicate) this.inOrder(seq, label);
    } else if (frame.event === 'error') {
      this.trace.note(`raw     ${sent.key} is refused: ${frame.data.code}`);
      this.refused(sent, frame.data.code);
    }
    if (Number(frame.id) === this.sends.length - 1) this.close();
  }

  /** Two messages of one socket keep their order. */
  private inOrder(seq: number, label: string): void {
    const last = this.acked.at(-1);
    this.acked.push(seq);
    if (last !== undefined && seq < last)
      this.trace.broken("7 sender's order", `${label} was sent after the message at ${last}`);
  }

  private refused({ conversationId, key, body }: RawSend, code: string): void {
    if (code !== 'client_message_id_reused') return;
    const chronicle = this.log.chronicle(conversationId);
    const seq = chronicle.seqOf(this.userId, key);
    const stored = seq === undefined ? undefined : chronicle.messageAt(seq);
    if (stored === undefined || stored.content['body'] === body)
      this.trace.broken('5 once', `${key} was refused as reused, and was not`);
  }
}
