import { Type, type Static, type TSchema } from '@sinclair/typebox';

/** An input object: what it does not name is refused (PROTOCOL.md, preamble). */
export const input = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false });

const UUID = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
/** Lower case only: an id has one spelling, so that it is one key everywhere. */
export const Uuid = Type.String({ pattern: UUID, description: 'UUID, lower case' });
export const ClientMessageIdSchema = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const DeviceIdSchema = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' });
export const SeqSchema = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
export const OrdinalSchema = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
export const IsoTime = Type.String({
  pattern: '^[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$',
});
export const Emoji = Type.String({ minLength: 1, maxLength: 64 });

export const TextContent = input({
  type: Type.Literal('text'),
  body: Type.String({ minLength: 1, maxLength: 16_384 }),
});
export const FileContent = input({
  type: Type.Literal('file'),
  fileId: Uuid,
  name: Type.String({ minLength: 1, maxLength: 255 }),
  mediaType: Type.String({ minLength: 3, maxLength: 127 }),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  caption: Type.Optional(Type.String({ maxLength: 16_384 })),
});
/** Opaque: whatever else the scheme needs travels along, as flat values. */
export const EncryptedContent = Type.Object(
  {
    type: Type.Literal('encrypted'),
    ciphertext: Type.String({ minLength: 1, maxLength: 65_536 }),
    scheme: Type.String({ minLength: 1, maxLength: 64 }),
  },
  { additionalProperties: Type.Union([Type.String(), Type.Number(), Type.Boolean()]) },
);
export const ContentInput = Type.Union([TextContent, FileContent, EncryptedContent]);
/** What a device may meet: also what only the server makes, and empty bodies of imported messages. */
export const Content = Type.Object({ type: Type.String() }, { additionalProperties: true });

export const RoleSchema = Type.Union([Type.Literal('owner'), Type.Literal('admin'), Type.Literal('member')]);
const WhomSchema = Type.Union([Type.Literal('everyone'), Type.Literal('admins')]);
export const SettingsInput = input({
  historyVisibility: Type.Optional(Type.Union([Type.Literal('joined'), Type.Literal('shared')])),
  disappearAfterSeconds: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 31_536_000, description: '0: messages stay' }),
  ),
  whoMayInvite: Type.Optional(WhomSchema),
  whoMayPost: Type.Optional(WhomSchema),
});
export const Settings = Type.Object({
  historyVisibility: Type.Union([Type.Literal('joined'), Type.Literal('shared')]),
  disappearAfterSeconds: Type.Optional(Type.Integer()),
  whoMayInvite: WhomSchema,
  whoMayPost: WhomSchema,
});
export const ForwardedFromSchema = Type.Object({ conversationId: Uuid, seq: SeqSchema });

export const User = Type.Object({
  id: Uuid,
  username: Type.String(),
  displayName: Type.String(),
  avatarFileId: Type.Optional(Uuid),
  statusMessage: Type.Optional(Type.String()),
  lastSeenAt: Type.Optional(IsoTime),
});

export const Reaction = Type.Object({
  emoji: Type.String(),
  count: Type.Integer({ minimum: 1 }),
  userIds: Type.Array(Uuid, { maxItems: 20 }),
  mine: Type.Boolean(),
});

export const Message = Type.Object({
  conversationId: Uuid,
  seq: SeqSchema,
  ordinal: OrdinalSchema,
  messageId: Uuid,
  clientMessageId: ClientMessageIdSchema,
  senderId: Uuid,
  at: IsoTime,
  content: Type.Union([Content, Type.Null()]),
  replyTo: Type.Optional(SeqSchema),
  threadOf: Type.Optional(SeqSchema),
  forwardedFrom: Type.Optional(ForwardedFromSchema),
  mentions: Type.Array(Uuid),
  originalAt: Type.Optional(Type.String()),
  editedAt: Type.Optional(IsoTime),
  version: Type.Integer({ minimum: 1 }),
  deletedAt: Type.Optional(IsoTime),
  reactions: Type.Array(Reaction),
  expiresAt: Type.Optional(IsoTime),
});

export const MessageVersion = Type.Object({
  version: Type.Integer({ minimum: 1 }),
  content: Type.Union([Content, Type.Null()]),
  at: IsoTime,
  seq: SeqSchema,
});

export const MemberSchema = Type.Object({ userId: Uuid, role: RoleSchema, joinedAt: IsoTime });

export const Conversation = Type.Object({
  id: Uuid,
  kind: Type.Union([Type.Literal('direct'), Type.Literal('group')]),
  title: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  avatarFileId: Type.Optional(Uuid),
  members: Type.Array(MemberSchema, { maxItems: 100 }),
  memberCount: Type.Integer({ minimum: 0 }),
  settings: Settings,
  headSeq: SeqSchema,
  lastOrdinal: Type.Integer({ minimum: 0 }),
  lastMessage: Type.Union([Message, Type.Null()]),
  unreadCount: Type.Integer({ minimum: 0 }),
  mentionCount: Type.Integer({ minimum: 0 }),
  readUpTo: Type.Integer({ minimum: -1, description: '-1: nothing read yet' }),
  createdAt: IsoTime,
  activeAt: IsoTime,
});

/** After the event at `asOf`: what belongs to all members, and to none alone. */
export const PastConversation = Type.Object({
  ...Type.Pick(Conversation, [
    'id',
    'kind',
    'title',
    'description',
    'avatarFileId',
    'members',
    'memberCount',
    'settings',
    'lastOrdinal',
    'createdAt',
  ]).properties,
  asOf: SeqSchema,
});

export const ProblemSchema = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  detail: Type.String(),
  retryable: Type.Boolean(),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
  traceId: Type.Optional(Type.String()),
  errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
});

export type UserDto = Static<typeof User>;
export type MessageDto = Static<typeof Message>;
export type MessageVersionDto = Static<typeof MessageVersion>;
export type PastConversationDto = Static<typeof PastConversation>;
export type ConversationDto = Static<typeof Conversation>;
export type ContentInputDto = Static<typeof ContentInput>;
