import { setTimeout as sleep } from 'node:timers/promises';
import { MessageIds } from '../../sdk/ids';
import { RawDevice } from './raw-device';
import type { TestUser } from './rest';

const TRY_AGAIN_MS = 50;
const IN_FLIGHT_MAX = 4;

/**
 * A device that writes as fast as it is acknowledged, and does not let go: whatever is not acknowledged is sent
 * again under the same key, over as many connections as it takes.
 */
export class StubbornWriter {
  /** Key → where it was told to be. */
  readonly acknowledged = new Map<string, { readonly conversationId: string; readonly seq: number }>();
  /** Acknowledgements that said the message was there already. */
  duplicates = 0;
  /** Two acknowledgements of one message that did not say the same. */
  readonly contradictions: string[] = [];
  private readonly unacknowledged = new Map<string, { conversationId: string; body: string }>();
  private readonly ids = new MessageIds();
  private count = 0;
  private stopping = false;
  private givenUp = false;
  private running: Promise<void> | undefined;

  /** @param keys `random`: not born in the order of time, so that the node must look each of them up */
  constructor(
    private readonly url: string,
    private readonly user: TestUser,
    private readonly rooms: readonly string[],
    private readonly keys: 'ordered' | 'random' = 'ordered',
  ) {}

  start(): void {
    this.stopping = false;
    this.running = this.run();
  }

  /** Begins nothing new; resolves when everything it wrote is acknowledged. */
  async settle(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** Ends without waiting for anything: for the end of a test that failed. */
  giveUp(): void {
    this.stopping = this.givenUp = true;
  }

  private async run(): Promise<void> {
    while (!this.givenUp && (!this.stopping || this.unacknowledged.size > 0)) {
      const device = await this.connect();
      if (device === undefined) await sleep(TRY_AGAIN_MS);
      else await this.writeUntilTorn(device);
    }
  }

  private async connect(): Promise<RawDevice | undefined> {
    try {
      return await RawDevice.signIn(this.url, this.user.token, { deviceId: `writer-${this.user.id}` });
    } catch {
      return undefined;
    }
  }

  private async writeUntilTorn(device: RawDevice): Promise<void> {
    try {
      await Promise.all([...this.unacknowledged.keys()].map((key) => this.send(device, key)));
      while (!this.stopping) {
        const batch = Array.from({ length: IN_FLIGHT_MAX }, () => this.compose());
        await Promise.all(batch.map((key) => this.send(device, key)));
      }
    } catch {
      // Torn, or refused for the moment: the next round sends again what has no acknowledgement.
      await sleep(TRY_AGAIN_MS);
    } finally {
      device.socket.terminate();
    }
  }

  private compose(): string {
    const key = this.keys === 'ordered' ? this.ids.next() : crypto.randomUUID();
    const n = ++this.count;
    const conversationId = this.rooms[n % this.rooms.length] ?? '';
    this.unacknowledged.set(key, { conversationId, body: `${this.user.username} ${n}` });
    return key;
  }

  private async send(device: RawDevice, clientMessageId: string): Promise<void> {
    const message = this.unacknowledged.get(clientMessageId);
    if (message === undefined) return;
    const { conversationId, body } = message;
    const content = { type: 'text', body };
    const answer = await device.request('message.send', { conversationId, clientMessageId, content });
    if (answer.event !== 'message.ack') throw new Error(JSON.stringify(answer));
    const seq = answer.data['seq'] as number;
    if (answer.data['duplicate'] === true) this.duplicates += 1;
    const before = this.acknowledged.get(clientMessageId);
    if (before !== undefined && before.seq !== seq) this.contradictions.push(clientMessageId);
    this.acknowledged.set(clientMessageId, { conversationId, seq });
    this.unacknowledged.delete(clientMessageId);
  }
}
