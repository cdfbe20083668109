import type { ClientFrameData, ClientFrameName, ServerFrame, ServerFrameData } from '../src/protocol/frames';
import { CLOSE_CODES } from '../src/protocol/close-codes';
import { AUTH_TIMEOUT_MS, HEARTBEAT_GRACE_MS } from '../src/protocol/limits';
import { fullJitterMs } from './backoff';
import { ConnectionLost, ParleyError, type StopReason } from './errors';

export const CONNECT_TIMEOUT_MS = AUTH_TIMEOUT_MS;
export const ANSWER_TIMEOUT_MS = 20_000;
/** Frames that wait for their answer at one time. */
export const REQUESTS_MAX = 1_000;
/** After close code 4008 the server wants quiet. */
export const RATE_LIMIT_PAUSE_MS = 5_000;
/** An answer to `sync` comes in many pages; each one starts this anew. */
export const SYNC_TIMEOUT_MS = 60_000;

/** The part of the WebSocket interface of browsers that is used; the `ws` package has it, too. */
export interface SocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type SocketConstructor = new (url: string) => SocketLike;

export type Ready = ServerFrameData<'ready'>;

export interface ConnectionOptions {
  /** The server, as `http(s)://host` or `ws(s)://host`; `/ws` is added. */
  readonly url: string;
  readonly deviceId: string;
  readonly deviceName?: string | undefined;
  readonly platform?: string | undefined;
  readonly WebSocket: SocketConstructor;
  /** `renew`: the last one was refused. undefined: there is no other. */
  readonly token: (renew: boolean) => Promise<string | undefined>;
  /** From [0, 1). */
  readonly random: () => number;
}

export interface ConnectionListener {
  ready(ready: Ready): void;
  /** Pushes, and errors that answer nothing. */
  push(frame: ServerFrame): void;
  /** `retryInMs`: when the next attempt begins. */
  down(why: string, retryInMs: number): void;
  stopped(reason: StopReason): void;
  failed(error: unknown): void;
}

interface Waiting {
  readonly resolve: (frame: ServerFrame) => void;
  readonly reject: (error: Error) => void;
  readonly part: ((frame: ServerFrame) => void) | undefined;
  readonly timeoutMs: number;
  timer: ReturnType<typeof setTimeout>;
}

/** `http://host/x/` → `ws://host/x/ws`. */
export function socketUrl(url: string): string {
  return `${url.replace(/^http/, 'ws').replace(/\/+$/, '')}/ws`;
}

const STOPPING: readonly StopReason[] = ['notAFrame', 'authTimeout', 'tokenInvalid', 'signedOut'];
const stopReasonOf = (code: number): StopReason | undefined =>
  STOPPING.find((reason) => reason !== 'closed' && CLOSE_CODES[reason].code === code);

/**
 * One device's line to the server: dials, authenticates, notices silence, comes back with full jitter, and
 * matches answers to requests. What the frames mean is not its business.
 */
export class Connection {
  private state: 'idle' | 'opening' | 'up' | 'waiting' | 'stopped' = 'idle';
  private socket: SocketLike | undefined;
  private readonly waiting = new Map<string, Waiting>();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private nextId = 1;
  private attempt = 0;
  private tokenRefused = false;
  private drainAfterMs: number | undefined;
  private heardAt = 0;
  private heartbeatMs = 0;

  constructor(
    private readonly options: ConnectionOptions,
    private readonly listener: ConnectionListener,
  ) {}

  get isUp(): boolean {
    return this.state === 'up';
  }

  start(): void {
    if (this.state === 'idle') this.open();
  }

  /** Ends it for good. */
  stop(reason: StopReason): void {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.hangUp(new ConnectionLost(`stopped: ${reason}`));
    this.listener.stopped(reason);
  }

  /** Hangs up and dials again: the far side does not answer, or answers nonsense. */
  reset(why: string): void {
    if (this.state === 'up' || this.state === 'opening') this.lost(why, this.nextDelayMs());
  }

  /** Everything works: the next loss starts the delays from the smallest again. */
  healthy(): void {
    this.attempt = 0;
  }

  /**
   * Sends a frame and resolves with its one answer.
   * @throws ParleyError when the answer is `error`; ConnectionLost when none came
   */
  request<Name extends ClientFrameName>(
    event: Name,
    data: ClientFrameData<Name>,
    part?: (frame: ServerFrame) => void,
  ): Promise<ServerFrame> {
    if (!this.isUp) return Promise.reject(new ConnectionLost('not connected'));
    if (this.waiting.size >= REQUESTS_MAX) {
      return Promise.reject(
        ParleyError.of('rate_limited', `${REQUESTS_MAX} frames already wait for answers`),
      );
    }
    return this.ask(event, data, event === 'sync' ? SYNC_TIMEOUT_MS : ANSWER_TIMEOUT_MS, part);
  }

  /** Sends a frame that wants no answer; dropped while not connected. */
  notify<Name extends ClientFrameName>(event: Name, data: ClientFrameData<Name>): void {
    if (this.isUp) this.transmit({ event, data });
  }

  private ask(
    event: ClientFrameName,
    data: object,
    timeoutMs: number,
    part?: (frame: ServerFrame) => void,
  ): Promise<ServerFrame> {
    const id = String(this.nextId++);
    return new Promise((resolve, reject) => {
      const timer = this.answerTimer(event, timeoutMs);
      this.waiting.set(id, { resolve, reject, part, timeoutMs, timer });
      this.transmit({ event, data, id });
    });
  }

  private answerTimer(event: string, timeoutMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.reset(`no answer to ${event} in ${timeoutMs} ms`);
    }, timeoutMs);
  }

  private transmit(frame: object): void {
    try {
      this.socket?.send(JSON.stringify(frame));
    } catch (error) {
      this.listener.failed(error);
    }
  }

  private open(): void {
    this.state = 'opening';
    this.options.token(this.tokenRefused).then(
      (token) => {
        if (this.state !== 'opening') return;
        if (token === undefined) this.stop('tokenInvalid');
        else this.dial(token);
      },
      (error: unknown) => {
        if (this.state !== 'opening') return;
        this.listener.failed(error);
        // Refused credentials stay refused; anything else may be the network.
        if (error instanceof ParleyError && !error.retryable) this.stop('tokenInvalid');
        else this.lost('no token', this.nextDelayMs());
      },
    );
  }

  private dial(token: string): void {
    let socket: SocketLike;
    try {
      socket = new this.options.WebSocket(socketUrl(this.options.url));
    } catch (error) {
      this.listener.failed(error);
      this.lost('cannot dial', this.nextDelayMs());
      return;
    }
    this.socket = socket;
    this.after('connect', CONNECT_TIMEOUT_MS, () => {
      this.reset(`no connection in ${CONNECT_TIMEOUT_MS} ms`);
    });
    // Callbacks of a socket that has been given up may still come; they must touch nothing.
    const current = (): boolean => this.socket === socket;
    socket.onopen = () => {
      if (current()) this.authenticate(token);
    };
    socket.onmessage = (event: { data: unknown }) => {
      if (current()) this.receive(String(event.data));
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      if (current()) this.closed(event.code, event.reason);
    };
    socket.onerror = () => undefined;
  }

  private authenticate(token: string): void {
    const { deviceId, deviceName, platform } = this.options;
    const data = {
      token,
      deviceId,
      ...(deviceName === undefined ? {} : { deviceName }),
      ...(platform === undefined ? {} : { platform }),
    };
    this.ask('auth', data, CONNECT_TIMEOUT_MS).then(
      (frame) => {
        if (frame.event === 'ready') this.up(frame.data);
      },
      (error: unknown) => {
        if (!(error instanceof ParleyError) || this.state !== 'opening') return;
        if (error.code === 'unauthenticated') this.refusedToken();
        else this.lost(error.message, Math.max(error.retryAfterMs ?? 0, this.nextDelayMs()));
      },
    );
  }

  private up(ready: Ready): void {
    this.clear('connect');
    this.state = 'up';
    this.tokenRefused = false;
    this.drainAfterMs = undefined;
    this.heartbeatMs = ready.heartbeatMs;
    this.watch();
    this.listener.ready(ready);
  }

  /** Pings of the WebSocket itself are invisible to scripts, so a silent line is asked by a frame of ours. */
  private watch(): void {
    this.after('watch', Math.max(1, this.heardAt + this.heartbeatMs - performance.now()), () => {
      if (performance.now() - this.heardAt < this.heartbeatMs) {
        this.watch();
        return;
      }
      this.transmit({ event: 'ping', data: {} });
      const askedAt = performance.now();
      this.after('watch', HEARTBEAT_GRACE_MS, () => {
        if (this.heardAt >= askedAt) this.watch();
        else this.reset(`silent for ${this.heartbeatMs + HEARTBEAT_GRACE_MS} ms`);
      });
    });
  }

  private receive(text: string): void {
    this.heardAt = performance.now();
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch (error) {
      this.listener.failed(error);
      this.reset('received no JSON');
      return;
    }
    const waiting = frame.id === undefined ? undefined : this.waiting.get(frame.id);
    if (waiting !== undefined) this.answer(frame.id as string, waiting, frame);
    else if (frame.event === 'reconnect') this.drainAfterMs = frame.data.afterMs;
    else if (frame.event !== 'pong') this.listener.push(frame);
  }

  private answer(id: string, waiting: Waiting, frame: ServerFrame): void {
    clearTimeout(waiting.timer);
    if (frame.event === 'sync.page') {
      waiting.timer = this.answerTimer('sync', waiting.timeoutMs);
      waiting.part?.(frame);
      return;
    }
    this.waiting.delete(id);
    if (frame.event === 'error') waiting.reject(new ParleyError(frame.data as ParleyError['problem']));
    else waiting.resolve(frame);
  }

  private closed(code: number, reason: string): void {
    const stop = stopReasonOf(code);
    if (stop === 'tokenInvalid') {
      this.refusedToken();
    } else if (stop !== undefined) {
      this.stop(stop);
    } else if (code === CLOSE_CODES.draining.code) {
      this.lost('the node is draining', this.drainAfterMs ?? this.nextDelayMs());
    } else {
      const pauseMs = code === CLOSE_CODES.rateLimited.code ? RATE_LIMIT_PAUSE_MS : 0;
      this.lost(`closed ${code} ${reason}`.trim(), pauseMs + this.nextDelayMs());
    }
  }

  /** Once, a token that was refused is replaced by a new one; a second refusal in a row is final. */
  private refusedToken(): void {
    if (this.tokenRefused) {
      this.stop('tokenInvalid');
      return;
    }
    this.tokenRefused = true;
    this.lost('token refused', 0);
  }

  private lost(why: string, retryInMs: number): void {
    this.hangUp(new ConnectionLost(why));
    this.state = 'waiting';
    this.after('retry', retryInMs, () => {
      this.open();
    });
    this.listener.down(why, retryInMs);
  }

  private hangUp(error: ConnectionLost): void {
    const { socket } = this;
    this.socket = undefined;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    try {
      socket?.close();
    } catch {
      // A socket that is still connecting may refuse to be closed; its callbacks are ignored from here on.
    }
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { timer, reject } of waiting) {
      clearTimeout(timer);
      reject(error);
    }
  }

  private nextDelayMs(): number {
    return fullJitterMs(this.attempt++, this.options.random);
  }

  private after(name: string, delayMs: number, run: () => void): void {
    this.clear(name);
    this.timers.set(name, setTimeout(run, delayMs));
  }

  private clear(name: string): void {
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }
}
