import { nextClientMessageId } from './client-message-ids';
import { numberField, stringField, type Device, type DeviceListener } from './device';
import { Latencies } from './histogram';

/** Messages under way at once, at most; their times are kept in a ring of this size. */
const UNDER_WAY_MAX = 2 ** 20;
const NUMBER_DIGITS = 10;
/** As the SDK gathers them. */
const RECEIPT_WINDOW_MS = 200;

/** `gathered`: as the SDK does it; `each`: two frames for every message. */
export type Receipts = 'off' | 'gathered' | 'each';

export interface FlowOptions {
  /** Length of a message's text. */
  readonly bodyBytes: number;
  readonly receipts: Receipts;
  /** Told of every answer to a send, as a closed loop needs it. */
  readonly onAnswer?: (device: Device) => void;
  /** Told of every acknowledgement, with its frame. */
  readonly onAck?: (device: Device, text: string) => void;
  /** Told of every delivery to somebody else than the sender. */
  readonly onDelivery?: (message: number, device: Device) => void;
}

interface Measured {
  /** Send → acknowledgement. */
  readonly acks: Latencies;
  /** Send → delivery to another device. */
  readonly deliveries: Latencies;
  /** How late the generator itself was with a send. */
  readonly lateness: Latencies;
  acked: number;
  delivered: number;
  refused: number;
}

const nothing = (): Measured => ({
  acks: new Latencies(),
  deliveries: new Latencies(),
  lateness: new Latencies(),
  acked: 0,
  delivered: 0,
  refused: 0,
});

/**
 * Messages on their way and what becomes of them. Every latency counts from the time at which the message was
 * *to be* sent, so that a server that stalls is not let off the messages it kept from being sent.
 */
export class Flow implements DeviceListener {
  measured = nothing();
  lastRefusal = '';
  /** Of frames of every kind. */
  refusals = 0;
  socketsLost = 0;
  receiptFrames = 0;
  private sent = 0;
  private answered = 0;
  private readonly intendedAt = new Float64Array(UNDER_WAY_MAX);
  private readonly filler: string;
  private readonly receiptsDue = new Map<Device, Map<string, number>>();

  constructor(private readonly options: FlowOptions) {
    this.filler = 'x'.repeat(Math.max(0, options.bodyBytes - NUMBER_DIGITS - 1));
  }

  /** Sends that nobody has answered yet. */
  get underWay(): number {
    return this.sent - this.answered;
  }

  /** Forgets what was measured so far, as at the end of the warm-up, and gives it back. */
  begin(): Measured {
    const { measured } = this;
    this.measured = nothing();
    return measured;
  }

  /** @param text what is said; letters without a meaning unless given */
  send(device: Device, conversationId: string, intendedAt: number, text?: string): void {
    const { number, body } = this.next(intendedAt);
    const said = text === undefined ? body : body.slice(0, 1 + NUMBER_DIGITS) + text;
    device.send(
      `{"event":"message.send","id":"${number}","data":{"conversationId":"${conversationId}","clientMessageId":"` +
        `${nextClientMessageId()}","content":{"type":"text","body":${JSON.stringify(said)}}}}`,
    );
    this.measured.lateness.add(performance.now() - intendedAt);
  }

  /** A message to be sent in whatever protocol: its number, and its text, which begins with `#` and the number. */
  next(intendedAt: number): { readonly number: number; readonly body: string } {
    const number = this.sent++ % UNDER_WAY_MAX;
    this.intendedAt[number] = intendedAt;
    return { number, body: `#${String(number).padStart(NUMBER_DIGITS, '0')}${this.filler}` };
  }

  /** For protocols without an acknowledgement: what has arrived counts as acknowledged as well. */
  arrived(text: string): void {
    const number = Number(text.slice(1, 1 + NUMBER_DIGITS));
    const ms = performance.now() - (this.intendedAt[number] as number);
    this.answered++;
    this.measured.acked++;
    this.measured.delivered++;
    this.measured.acks.add(ms);
    this.measured.deliveries.add(ms);
  }

  acked(device: Device, tag: string, text = ''): void {
    this.answered++;
    this.measured.acked++;
    this.measured.acks.add(performance.now() - (this.intendedAt[Number(tag)] as number));
    this.options.onAck?.(device, text);
    this.options.onAnswer?.(device);
  }

  refused(device: Device, tag: string, text: string): void {
    this.lastRefusal = text;
    this.refusals++;
    // The errors of receipts and the like have no number.
    if (!/^\d+$/.test(tag)) return;
    this.answered++;
    this.measured.refused++;
    this.options.onAnswer?.(device);
  }

  message(device: Device, text: string): void {
    if (stringField(text, 'by') === device.person.userId) return;
    const number = Number(stringField(text, 'body').slice(1, 1 + NUMBER_DIGITS));
    this.measured.delivered++;
    this.measured.deliveries.add(performance.now() - (this.intendedAt[number] as number));
    this.options.onDelivery?.(number, device);
    if (this.options.receipts !== 'off') this.confirm(device, text);
  }

  closed(): void {
    this.socketsLost++;
  }

  private confirm(device: Device, text: string): void {
    const conversationId = stringField(text, 'conversationId');
    const seq = numberField(text, 'seq');
    if (this.options.receipts === 'each') {
      this.sendReceipts(device, [[conversationId, seq]]);
      return;
    }
    const due = this.receiptsDue.get(device);
    if (due !== undefined) {
      due.set(conversationId, seq);
      return;
    }
    const cursors = new Map([[conversationId, seq]]);
    this.receiptsDue.set(device, cursors);
    setTimeout(() => {
      this.receiptsDue.delete(device);
      if (device.isOpen) this.sendReceipts(device, [...cursors]);
    }, RECEIPT_WINDOW_MS);
  }

  private sendReceipts(device: Device, cursors: readonly (readonly [string, number])[]): void {
    device.cork();
    const texts = cursors.map(([conversationId, seq]) => `"${conversationId}":${seq}`);
    device.send(`{"event":"delivered","id":"d","data":{"cursors":{${texts.join(',')}}}}`);
    for (const [conversationId, upTo] of cursors) {
      device.send(`{"event":"read","id":"r","data":{"conversationId":"${conversationId}","upTo":${upTo}}}`);
    }
    this.receiptFrames += 1 + cursors.length;
    device.uncork();
  }
}
