import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { EVENT_FRAMES, EventFrameSchema, type EventFrame } from './events';
import {
  ClientMessageIdSchema,
  ContentInput,
  Conversation,
  DeviceIdSchema,
  Emoji,
  input,
  IsoTime,
  OrdinalSchema,
  ProblemSchema,
  SeqSchema,
  Uuid,
} from './schemas';
import { SYNC_RECENT_MAX, SYNC_WINDOW_MAX } from './limits';

const StatusInput = Type.Union([
  Type.Literal('online'),
  Type.Literal('away'),
  Type.Literal('busy'),
  Type.Literal('invisible'),
]);
export const CursorMap = Type.Record(Type.String(), SeqSchema);

/** PROTOCOL.md section 3: what a client may send, each with the schema of its `data`. Compiled once. */
export const CLIENT_FRAMES = {
  auth: input({
    token: Type.String({ minLength: 1, maxLength: 8_192 }),
    deviceId: DeviceIdSchema,
    deviceName: Type.Optional(Type.String({ maxLength: 128 })),
    platform: Type.Optional(Type.String({ maxLength: 64 })),
  }),
  sync: input({
    epoch: Type.Optional(Type.String({ maxLength: 64 })),
    cursors: Type.Optional(CursorMap),
    recent: Type.Optional(Type.Integer({ minimum: 0, maximum: SYNC_RECENT_MAX })),
    window: Type.Optional(Type.Integer({ minimum: 1, maximum: SYNC_WINDOW_MAX })),
  }),
  'message.send': input({
    conversationId: Type.Optional(Uuid),
    to: Type.Optional(Uuid),
    clientMessageId: ClientMessageIdSchema,
    content: ContentInput,
    replyTo: Type.Optional(SeqSchema),
    threadOf: Type.Optional(SeqSchema),
    mentions: Type.Optional(Type.Array(Uuid, { maxItems: 100 })),
  }),
  'message.edit': input({ conversationId: Uuid, target: SeqSchema, content: ContentInput }),
  'message.delete': input({
    conversationId: Uuid,
    target: SeqSchema,
    scope: Type.Union([Type.Literal('everyone'), Type.Literal('me')]),
  }),
  'reaction.set': input({ conversationId: Uuid, target: SeqSchema, emoji: Emoji, on: Type.Boolean() }),
  delivered: input({ cursors: CursorMap }),
  read: input({ conversationId: Uuid, upTo: SeqSchema }),
  typing: input({ conversationId: Uuid, isTyping: Type.Boolean() }),
  focus: input({ conversationId: Uuid }),
  unfocus: input({ conversationId: Uuid }),
  'presence.set': input({
    status: StatusInput,
    customStatus: Type.Optional(Type.String({ maxLength: 256 })),
  }),
  'presence.watch': input({ userIds: Type.Array(Uuid) }),
  'presence.unwatch': input({ userIds: Type.Array(Uuid) }),
  'call.signal': input({
    conversationId: Uuid,
    callId: Type.String({ minLength: 1, maxLength: 64 }),
    toUserId: Uuid,
    toDeviceId: Type.Optional(DeviceIdSchema),
    signal: Type.Unknown(),
  }),
  reauth: input({ token: Type.String({ minLength: 1, maxLength: 8_192 }) }),
  ping: input({}),
} as const satisfies Record<string, TSchema>;

export type ClientFrameName = keyof typeof CLIENT_FRAMES;
export type ClientFrameData<Name extends ClientFrameName> = Static<(typeof CLIENT_FRAMES)[Name]>;
export const CLIENT_FRAME_NAMES = Object.keys(CLIENT_FRAMES) as readonly ClientFrameName[];

export const Presence = Type.Object({
  userId: Uuid,
  status: Type.Union([
    Type.Literal('online'),
    Type.Literal('away'),
    Type.Literal('busy'),
    Type.Literal('offline'),
  ]),
  lastSeenAt: Type.Union([IsoTime, Type.Null()]),
  customStatus: Type.Optional(Type.String()),
});

const LimitsSchema = Type.Record(Type.String(), Type.Number());

export const SyncConversation = Type.Object({
  conversationId: Uuid,
  /** null with `removed`. */
  summary: Type.Union([Conversation, Type.Null()]),
  events: Type.Array(EventFrameSchema),
  /** Seq of the first event that the page covers. */
  from: Type.Integer({ minimum: 0 }),
  headSeq: Type.Integer({ minimum: -1 }),
  limited: Type.Boolean(),
  removed: Type.Optional(Type.Literal(true)),
});

/** What the server sends besides the nine events: answers and hints, each with the schema of its `data`. */
export const SERVER_FRAMES = {
  ready: Type.Object({
    sessionId: Uuid,
    userId: Uuid,
    deviceId: DeviceIdSchema,
    epoch: Type.String(),
    heartbeatMs: Type.Integer(),
    serverTime: IsoTime,
    limits: LimitsSchema,
  }),
  'sync.page': Type.Object({
    conversations: Type.Array(SyncConversation),
    epochChanged: Type.Optional(Type.Literal(true)),
  }),
  'sync.done': Type.Object({
    epoch: Type.String(),
    position: Type.String(),
    epochChanged: Type.Optional(Type.Literal(true)),
  }),
  'message.ack': Type.Object({
    conversationId: Uuid,
    clientMessageId: ClientMessageIdSchema,
    messageId: Uuid,
    seq: SeqSchema,
    ordinal: OrdinalSchema,
    at: IsoTime,
    duplicate: Type.Boolean(),
  }),
  ok: Type.Object({
    seq: Type.Optional(SeqSchema),
    presences: Type.Optional(Type.Array(Presence)),
  }),
  pong: Type.Object({}),
  error: ProblemSchema,
  typing: Type.Object({ conversationId: Uuid, userId: Uuid, isTyping: Type.Boolean() }),
  presence: Presence,
  'call.signal': Type.Object({
    conversationId: Uuid,
    callId: Type.String(),
    fromUserId: Uuid,
    fromDeviceId: DeviceIdSchema,
    toUserId: Uuid,
    toDeviceId: Type.Optional(DeviceIdSchema),
    signal: Type.Unknown(),
  }),
  'conversation.activity': Type.Object({
    conversationId: Uuid,
    headSeq: SeqSchema,
    headOrdinal: Type.Integer({ minimum: 0 }),
  }),
  'receipt.summary': Type.Object({
    conversationId: Uuid,
    seq: SeqSchema,
    delivered: Type.Integer(),
    read: Type.Integer(),
    members: Type.Integer(),
  }),
  resync: Type.Object({ conversationIds: Type.Array(Uuid) }),
  reconnect: Type.Object({ afterMs: Type.Integer({ minimum: 0 }) }),
} as const satisfies Record<string, TSchema>;

export type ServerFrameName = keyof typeof SERVER_FRAMES;
export type ServerFrameData<Name extends ServerFrameName> = Static<(typeof SERVER_FRAMES)[Name]>;

/** Any frame a device can receive. */
export type ServerFrame =
  | (EventFrame & { id?: string })
  | { [Name in ServerFrameName]: { event: Name; data: ServerFrameData<Name>; id?: string } }[ServerFrameName];

export const ALL_SERVER_FRAMES = { ...EVENT_FRAMES, ...SERVER_FRAMES };

/** `{event, data, id?}` around a client frame's data; `id` is echoed in its one answer. */
export const FRAME_ID_LENGTH_MAX = 64;
