import { Type, type Static, type TObject, type TSchema } from '@sinclair/typebox';
import { EventFrameSchema } from './events';
import { SERVER_FRAMES } from './frames';
import { EVENTS_LIMIT_MAX, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from './limits';
import {
  ClientMessageIdSchema,
  ContentInput,
  Conversation,
  DeviceIdSchema,
  ForwardedFromSchema,
  input,
  IsoTime,
  MemberSchema,
  Message,
  MessageVersion,
  PastConversation,
  ProblemSchema,
  RoleSchema,
  SeqSchema,
  SettingsInput,
  User,
  Uuid,
} from './schemas';

/** What REST takes and answers (PROTOCOL.md section 5); OpenAPI is made from these. */

export const PASSWORD_LENGTH_MIN = 8;
export const PASSWORD_LENGTH_MAX = 256;
const MEMBER_IDS_MAX = 1_000;

const Username = Type.String({ pattern: '^[A-Za-z0-9_.-]{1,32}$' });
const DisplayName = Type.String({ minLength: 1, maxLength: 128 });
const RefreshToken = Type.String({ minLength: 1, maxLength: 512 });
const Title = Type.String({ minLength: 1, maxLength: 256 });
const LastSeenAudience = Type.Union([Type.Literal('everyone'), Type.Literal('nobody')]);
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const RegisterBody = input({
  username: Username,
  password: Type.String({ minLength: PASSWORD_LENGTH_MIN, maxLength: PASSWORD_LENGTH_MAX }),
  displayName: Type.Optional(DisplayName),
});
export const LoginBody = input({
  username: Type.String({ minLength: 1, maxLength: 64 }),
  password: Type.String({ minLength: 1, maxLength: PASSWORD_LENGTH_MAX }),
});
export const RefreshBody = input({ refreshToken: RefreshToken });
export const LogoutBody = input({ refreshToken: Type.Optional(RefreshToken) });
export const ProfileBody = input({
  username: Type.Optional(Username),
  displayName: Type.Optional(DisplayName),
  avatarFileId: Type.Optional(orNull(Uuid)),
  statusMessage: Type.Optional(orNull(Type.String({ maxLength: 256 }))),
  privacy: Type.Optional(input({ lastSeen: Type.Optional(LastSeenAudience) })),
});
export const StartConversationBody = input({
  kind: Type.Union([Type.Literal('direct'), Type.Literal('group')]),
  memberIds: Type.Array(Uuid, { maxItems: MEMBER_IDS_MAX }),
  title: Type.Optional(Title),
  settings: Type.Optional(SettingsInput),
});
export const ChangeConversationBody = Type.Object(
  {
    title: Type.Optional(Title),
    description: Type.Optional(Type.String({ maxLength: 2_048 })),
    avatarFileId: Type.Optional(Uuid),
    settings: Type.Optional(SettingsInput),
  },
  { additionalProperties: false, minProperties: 1 },
);
export const AddMembersBody = input({
  userIds: Type.Array(Uuid, { minItems: 1, maxItems: MEMBER_IDS_MAX }),
  role: Type.Optional(RoleSchema),
});
export const ChangeRoleBody = input({ role: RoleSchema });
export const SendMessageBody = input({
  clientMessageId: Type.Optional(ClientMessageIdSchema),
  content: ContentInput,
  replyTo: Type.Optional(SeqSchema),
  threadOf: Type.Optional(SeqSchema),
  forwardedFrom: Type.Optional(input(ForwardedFromSchema.properties)),
  mentions: Type.Optional(Type.Array(Uuid, { maxItems: 100 })),
});
export const EditMessageBody = input({ content: ContentInput });
export const ReadBody = input({ upTo: SeqSchema });

const Limit = Type.Integer({ minimum: 1, maximum: PAGE_LIMIT_MAX, default: PAGE_LIMIT_DEFAULT });
const Cursor = Type.String({ minLength: 1, maxLength: 512, description: 'a nextCursor of before' });
const minSeq = { minSeq: Type.Optional(SeqSchema) };
const page = { limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) };

export const PageQuery = input(page);
export const UserSearchQuery = input({ query: Type.String({ minLength: 1, maxLength: 64 }), ...page });
export const ConversationQuery = input(minSeq);
export const ConversationAtQuery = input({
  at: Type.Optional(
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'as it was after this seq' }),
  ),
  ...minSeq,
});
export const MembersQuery = input({ ...page, ...minSeq });
export const MessagesQuery = input({
  limit: Type.Optional(Limit),
  before: Type.Optional(SeqSchema),
  after: Type.Optional(SeqSchema),
  around: Type.Optional(SeqSchema),
  ...minSeq,
});
export const VersionsQuery = input({
  limit: Type.Optional(Limit),
  after: Type.Optional(SeqSchema),
  ...minSeq,
});
export const EventsQuery = input({
  after: Type.Optional(SeqSchema),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: EVENTS_LIMIT_MAX, default: PAGE_LIMIT_DEFAULT })),
  ...minSeq,
});
export const DeleteMessageQuery = input({
  scope: Type.Optional(Type.Union([Type.Literal('everyone'), Type.Literal('me')], { default: 'everyone' })),
});

export const OwnUser = Type.Object({
  ...User.properties,
  privacy: Type.Object({ lastSeen: LastSeenAudience }),
});
export const SignedIn = Type.Object({
  user: OwnUser,
  accessToken: Type.String(),
  refreshToken: Type.String(),
  expiresIn: Type.Integer({ minimum: 1, description: 'seconds that the access token is good for' }),
});
export const Device = Type.Object({
  id: DeviceIdSchema,
  name: Type.Optional(Type.String()),
  platform: Type.Optional(Type.String()),
  current: Type.Boolean({ description: 'last seen with the sign-in that asks' }),
  createdAt: IsoTime,
  lastSeenAt: IsoTime,
});
/** As it is now; with `at`, as it was then. */
export const ConversationNowOrThen = Type.Union([Conversation, PastConversation]);
export const StartedConversation = Type.Object({ ...Conversation.properties, seq: SeqSchema });
/** `seq` is what a following read passes as `minSeq`; absent when there is no event to wait for. */
export const WriteAnswer = Type.Object({ seq: Type.Optional(SeqSchema) });
export const MessageAck = SERVER_FRAMES['message.ack'];
const ReceiptCursor = Type.Object({ userId: Uuid, upTo: SeqSchema });
export const Receipts = Type.Object({
  delivered: Type.Array(ReceiptCursor),
  read: Type.Array(ReceiptCursor),
});
export const Readiness = Type.Object({
  status: Type.Union([Type.Literal('ready'), Type.Literal('draining'), Type.Literal('not_ready')]),
  checks: Type.Record(
    Type.String(),
    Type.Object({
      status: Type.Union([Type.Literal('up'), Type.Literal('down')]),
      detail: Type.Optional(Type.String()),
    }),
  ),
});
export const Liveness = Type.Object({ status: Type.Literal('live') });

/** A page of anything. */
const listOf = <T extends TSchema>(item: T) =>
  Type.Object({
    items: Type.Array(item),
    hasMore: Type.Boolean(),
    nextCursor: Type.Optional(Type.String()),
  });

export const UserList = listOf(User);
export const DeviceList = listOf(Device);
export const ConversationList = listOf(Conversation);
export const MemberList = listOf(MemberSchema);
export const MessageList = listOf(Message);
export const VersionList = listOf(MessageVersion);
export const EventList = listOf(EventFrameSchema);

/** Every named body and answer: the `components/schemas` of the OpenAPI document. */
export const REST_SCHEMAS = {
  RegisterBody,
  LoginBody,
  RefreshBody,
  LogoutBody,
  ProfileBody,
  StartConversationBody,
  ChangeConversationBody,
  AddMembersBody,
  ChangeRoleBody,
  SendMessageBody,
  EditMessageBody,
  ReadBody,
  User,
  OwnUser,
  SignedIn,
  Device,
  Conversation,
  PastConversation,
  ConversationNowOrThen,
  StartedConversation,
  WriteAnswer,
  MessageAck,
  Receipts,
  Readiness,
  Liveness,
  Message,
  UserList,
  DeviceList,
  ConversationList,
  MemberList,
  MessageList,
  VersionList,
  EventList,
  Problem: ProblemSchema,
} as const satisfies Record<string, TSchema>;

/** What a path's `{name}` must look like. */
export const PATH_PARAMETERS: Readonly<Record<string, TSchema>> = {
  id: Uuid,
  userId: Uuid,
  deviceId: DeviceIdSchema,
  seq: SeqSchema,
  emoji: Type.String({ minLength: 1, maxLength: 64, description: 'percent-encoded UTF-8' }),
};

export type BodyOf<T extends TSchema> = Static<T>;
export type QueryOf<T extends TObject> = Static<T>;
export type OwnUserDto = Static<typeof OwnUser>;
export type DeviceDto = Static<typeof Device>;
export type MessageAckDto = Static<typeof MessageAck>;
export type WriteAnswerDto = Static<typeof WriteAnswer>;
export type SignedInDto = Static<typeof SignedIn>;
/** One page of `T`. */
export interface ListDto<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
  readonly nextCursor?: string;
}
