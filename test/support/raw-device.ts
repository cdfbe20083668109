import { randomUUID } from 'node:crypto';
import { WebSocket, type RawData } from 'ws';

export interface Frame {
  readonly event: string;
  readonly id?: string;
  readonly data: Record<string, unknown>;
}

const WAIT_MS = 30_000;

/**
 * A device written from the protocol alone: no SDK, no retries. It writes down everything it is sent, in order,
 * and hands each frame to `inspect`, which tests use to hold it against the published contract.
 */
export class RawDevice {
  readonly frames: Frame[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  private nextId = 1;
  private readonly watchers = new Set<() => void>();

  private constructor(
    readonly socket: WebSocket,
    readonly deviceId: string,
    inspect: (frame: unknown) => void,
  ) {
    socket.on('message', (raw: RawData) => {
      const frame = JSON.parse((raw as Buffer).toString('utf8')) as Frame;
      inspect(frame);
      this.frames.push(frame);
      this.wake();
    });
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString('utf8') };
      this.wake();
    });
    // A refused or torn connection is told by `closed`; without a listener it would end the test process.
    socket.on('error', () => undefined);
  }

  static async open(
    url: string,
    options: { readonly deviceId?: string; readonly inspect?: (frame: unknown) => void } = {},
  ): Promise<RawDevice> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, { perMessageDeflate: false });
    const device = new RawDevice(
      socket,
      options.deviceId ?? `device-${randomUUID()}`,
      options.inspect ?? (() => undefined),
    );
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return device;
  }

  /** Opens and authenticates. */
  static async signIn(
    url: string,
    token: string,
    options: { readonly deviceId?: string; readonly inspect?: (frame: unknown) => void } = {},
  ): Promise<RawDevice> {
    const device = await RawDevice.open(url, options);
    const ready = await device.request('auth', { token, deviceId: device.deviceId });
    if (ready.event !== 'ready') throw new Error(`auth was answered by ${JSON.stringify(ready)}`);
    return device;
  }

  /** Sends a frame with a fresh id and waits for the frame that ends its answer. */
  async request(event: string, data?: unknown): Promise<Frame> {
    const id = `r${this.nextId++}`;
    this.sendText(JSON.stringify({ id, event, ...(data === undefined ? {} : { data }) }));
    return this.waitFor((frame) => frame.id === id && frame.event !== 'sync.page', `answer to ${event}`);
  }

  sendText(text: string): void {
    this.socket.send(text);
  }

  /** All pages of one sync, in order, and its `sync.done`. */
  async sync(data: object = {}): Promise<{ pages: Frame[]; done: Frame }> {
    const done = await this.request('sync', data);
    return { pages: this.frames.filter((f) => f.event === 'sync.page' && f.id === done.id), done };
  }

  /** The first frame, past or to come, that satisfies `wanted`. Rejects when the socket closes before it came. */
  async waitFor(wanted: (frame: Frame) => boolean, what = 'a frame'): Promise<Frame> {
    return this.until(() => this.frames.find(wanted), what);
  }

  async waitForClose(): Promise<{ readonly code: number; readonly reason: string }> {
    return this.until(() => this.closed, 'the close');
  }

  /** Pushed events (frames without id) of a name. */
  pushes(event: string): Frame[] {
    return this.frames.filter((frame) => frame.event === event && frame.id === undefined);
  }

  async close(): Promise<void> {
    if (this.closed !== undefined) return;
    this.socket.close();
    await this.waitForClose();
  }

  private async until<T>(look: () => T | undefined, what: string): Promise<T> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.closed !== undefined) throw new Error(`closed ${this.closed.code} before ${what} came`);
      const left = deadline - Date.now();
      if (left <= 0) {
        const last = this.frames.slice(-5).map((frame) => JSON.stringify(frame).slice(0, 200));
        throw new Error(`no ${what} within ${WAIT_MS} ms; last frames: ${last.join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.watchers.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.watchers.add(done);
      });
    }
  }

  private wake(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}
