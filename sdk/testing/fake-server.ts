import { CLOSE_CODES, type CloseReason } from '../../src/protocol/close-codes';
import { problem, type ErrorCode } from '../../src/protocol/errors';
import type { EventFrame } from '../../src/protocol/events';
import type { SocketConstructor, SocketLike } from '../connection';
import type { SendData } from '../stores';

export const ME = '00000000-0000-4000-8000-0000000000aa';
export const OTHER = '00000000-0000-4000-8000-0000000000bb';

interface Frame {
  readonly event: string;
  readonly id?: string;
  readonly data: Record<string, unknown>;
}

/** One end of a pretended line: what it is given arrives a microtask later, as on a real one. */
export class FakeSocket implements SocketLike {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  open = true;
  authenticated = false;
  /** Everything this socket's client sent. */
  readonly received: Frame[] = [];

  constructor(
    readonly url: string,
    private readonly server: FakeServer,
  ) {
    void Promise.resolve().then(() => {
      server.connected(this);
    });
  }

  send(text: string): void {
    if (!this.open) return;
    const frame = JSON.parse(text) as Frame;
    void Promise.resolve().then(() => {
      if (this.open) this.server.receive(this, frame);
    });
  }

  close(): void {
    this.open = false;
    this.server.gone(this);
  }

  /** The network or the server ends it. */
  cut(code = 1006, reason = ''): void {
    if (!this.open) return;
    this.open = false;
    this.server.gone(this);
    void Promise.resolve().then(() => {
      (this.onclose as ((event: object) => void) | null)?.({ code, reason });
    });
  }

  deliver(frame: object): void {
    const data = JSON.stringify(frame);
    void Promise.resolve().then(() => {
      if (this.open) (this.onmessage as ((event: object) => void) | null)?.({ data });
    });
  }
}

/** A server with one user's conversations: enough of PROTOCOL.md to be a partner for the client's specs. */
export class FakeServer {
  epoch = 'epoch-1';
  heartbeatMs = 25_000;
  reachable = true;
  /** Frames of these names are swallowed: no answer comes. */
  readonly swallow = new Set<string>();
  /** The next answers to `message.send`, before it works again; `lose` stores the message and hangs up. */
  readonly mishaps: (ErrorCode | 'lose')[] = [];
  readonly refusedTokens = new Set<string>();
  readonly log = new Map<string, EventFrame[]>();
  readonly removed = new Set<string>();
  readonly sockets = new Set<FakeSocket>();
  /** Every socket that was ever opened. */
  readonly dialled: FakeSocket[] = [];
  window = 200;
  /** As while the read models are away: conversations without a cursor are not answered. */
  knowsCursorsOnly = false;
  /** Held back answers to `sync`; undefined: answered at once. */
  heldSyncs: (() => void)[] | undefined;

  get WebSocket(): SocketConstructor {
    const create = (url: string): FakeSocket => {
      const socket = new FakeSocket(url, this);
      this.dialled.push(socket);
      return socket;
    };
    return function (this: unknown, url: string) {
      return create(url);
    } as unknown as SocketConstructor;
  }

  get socket(): FakeSocket {
    const socket = [...this.sockets].at(-1);
    if (socket === undefined) throw new Error('nobody is connected');
    return socket;
  }

  events(conversationId: string): EventFrame[] {
    const events = this.log.get(conversationId) ?? [];
    this.log.set(conversationId, events);
    return events;
  }

  connected(socket: FakeSocket): void {
    if (!this.reachable) {
      socket.cut(1006);
      return;
    }
    this.sockets.add(socket);
    (socket.onopen as (() => void) | null)?.();
  }

  gone(socket: FakeSocket): void {
    this.sockets.delete(socket);
  }

  close(reason: CloseReason): void {
    for (const socket of this.sockets) socket.cut(CLOSE_CODES[reason].code, reason);
  }

  /** Somebody says something: stored, and pushed unless `lost` (then only a sync brings it). */
  say(conversationId: string, body: string, options: { by?: string; lost?: boolean } = {}): EventFrame {
    const frame = this.record(conversationId, {
      by: options.by ?? OTHER,
      clientMessageId: `other-${conversationId}-${this.events(conversationId).length}`,
      content: { type: 'text', body },
    });
    if (options.lost !== true) this.push(frame);
    return frame;
  }

  push(frame: object): void {
    for (const socket of this.sockets) if (socket.authenticated) socket.deliver(frame);
  }

  receive(socket: FakeSocket, frame: Frame): void {
    socket.received.push(frame);
    if (this.swallow.has(frame.event)) return;
    const answer = (event: string, data: object): void => {
      if (frame.id !== undefined) socket.deliver({ event, data, id: frame.id });
    };
    switch (frame.event) {
      case 'auth':
        this.authenticate(socket, frame, answer);
        return;
      case 'sync':
        if (this.heldSyncs === undefined) this.sync(frame, answer);
        else
          this.heldSyncs.push(() => {
            this.sync(frame, answer);
          });
        return;
      case 'message.send':
        this.send(socket, frame.data as unknown as SendData, answer);
        return;
      case 'ping':
        socket.deliver({ event: 'pong', data: {} });
        return;
      default:
        answer('ok', {});
    }
  }

  private authenticate(
    socket: FakeSocket,
    frame: Frame,
    answer: (event: string, data: object) => void,
  ): void {
    if (this.refusedTokens.has(String(frame.data['token']))) {
      socket.cut(CLOSE_CODES.tokenInvalid.code);
      return;
    }
    socket.authenticated = true;
    answer('ready', {
      sessionId: '00000000-0000-4000-8000-000000000001',
      userId: ME,
      deviceId: frame.data['deviceId'],
      epoch: this.epoch,
      heartbeatMs: this.heartbeatMs,
      serverTime: new Date().toISOString(),
      limits: { syncCursorsMax: 10_000 },
    });
  }

  private sync(frame: Frame, answer: (event: string, data: object) => void): void {
    const epochChanged = frame.data['epoch'] !== undefined && frame.data['epoch'] !== this.epoch;
    const cursors = (epochChanged ? {} : (frame.data['cursors'] ?? {})) as Record<string, number>;
    const flag = epochChanged ? { epochChanged: true } : {};
    for (const [conversationId, events] of this.log) {
      const head = events.length - 1;
      if (this.knowsCursorsOnly && cursors[conversationId] === undefined) continue;
      const cursor = cursors[conversationId] ?? -1;
      if (cursor >= head && !this.removed.has(conversationId)) continue;
      const missed = events.slice(cursor + 1);
      const given = missed.slice(-this.window);
      const removed = this.removed.has(conversationId);
      const conversation = {
        conversationId,
        summary: null,
        events: given,
        from: given[0]?.data.seq ?? head + 1,
        headSeq: head,
        limited: given.length < missed.length,
        ...(removed ? { removed: true } : {}),
      };
      answer('sync.page', { conversations: [conversation], ...flag });
    }
    answer('sync.done', { epoch: this.epoch, position: '0/0', ...flag });
  }

  private send(socket: FakeSocket, data: SendData, answer: (event: string, data: object) => void): void {
    const mishap = this.mishaps.shift();
    if (mishap !== undefined && mishap !== 'lose') {
      answer('error', problem(mishap, 'as the spec wants it', { retryAfterMs: 50 }));
      return;
    }
    const conversationId = data.conversationId ?? `direct-${data.to ?? ''}`;
    const before = this.events(conversationId).find(
      (event) =>
        event.event === 'message.sent' &&
        event.data.by === ME &&
        event.data.clientMessageId === data.clientMessageId,
    );
    const { clientMessageId, content } = data;
    const stored = before ?? this.record(conversationId, { by: ME, clientMessageId, content });
    if (mishap === 'lose') {
      socket.cut();
      return;
    }
    if (before === undefined) this.push(stored);
    const { seq, ordinal, messageId, at } = stored.data as Extract<
      EventFrame,
      { event: 'message.sent' }
    >['data'];
    answer('message.ack', {
      conversationId,
      clientMessageId,
      messageId,
      seq,
      ordinal,
      at,
      duplicate: before !== undefined,
    });
  }

  private record(
    conversationId: string,
    message: { by: string; clientMessageId: string; content: { type: string; body?: unknown } },
  ): EventFrame {
    const events = this.events(conversationId);
    const frame: EventFrame = {
      event: 'message.sent',
      data: {
        conversationId,
        seq: events.length,
        at: new Date().toISOString(),
        messageId: message.clientMessageId,
        ordinal: events.length + 1,
        ...message,
      },
    };
    events.push(frame);
    return frame;
  }
}
