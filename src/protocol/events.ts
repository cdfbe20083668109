import { Type, type Static, type TSchema } from '@sinclair/typebox';
import {
  ClientMessageIdSchema,
  Content,
  DeviceIdSchema,
  ForwardedFromSchema,
  IsoTime,
  OrdinalSchema,
  RoleSchema,
  SeqSchema,
  Uuid,
} from './schemas';

/** Each stored event as a device sees it: `data` of the frame of that name (PROTOCOL.md section 2). */
const event = <T extends Record<string, TSchema>>(fields: T) =>
  Type.Object({ conversationId: Uuid, seq: SeqSchema, at: IsoTime, by: Uuid, ...fields });

const SettingsChange = Type.Object({
  historyVisibility: Type.Optional(Type.String()),
  disappearAfterSeconds: Type.Optional(Type.Integer()),
  whoMayInvite: Type.Optional(Type.String()),
  whoMayPost: Type.Optional(Type.String()),
});

export const EVENT_FRAMES = {
  'conversation.started': event({
    kind: Type.Union([Type.Literal('direct'), Type.Literal('group')]),
    title: Type.Optional(Type.String()),
    memberIds: Type.Array(Uuid),
    settings: Type.Optional(SettingsChange),
  }),
  'conversation.changed': event({
    title: Type.Optional(Type.String()),
    description: Type.Optional(Type.String()),
    avatarFileId: Type.Optional(Uuid),
    settings: Type.Optional(SettingsChange),
  }),
  'membership.changed': event({
    userId: Uuid,
    change: Type.Union([
      Type.Literal('joined'),
      Type.Literal('left'),
      Type.Literal('removed'),
      Type.Literal('roleChanged'),
      Type.Literal('blocked'),
      Type.Literal('unblocked'),
    ]),
    role: Type.Optional(RoleSchema),
  }),
  'message.sent': event({
    messageId: Uuid,
    clientMessageId: ClientMessageIdSchema,
    ordinal: OrdinalSchema,
    content: Content,
    replyTo: Type.Optional(SeqSchema),
    threadOf: Type.Optional(SeqSchema),
    forwardedFrom: Type.Optional(ForwardedFromSchema),
    mentions: Type.Optional(Type.Array(Uuid)),
    expiresAt: Type.Optional(IsoTime),
    originalAt: Type.Optional(Type.String()),
  }),
  'message.edited': event({ target: SeqSchema, content: Content, version: Type.Integer({ minimum: 2 }) }),
  'message.deleted': event({ target: SeqSchema }),
  'reaction.changed': event({
    target: SeqSchema,
    emoji: Type.String(),
    change: Type.Union([Type.Literal('added'), Type.Literal('removed')]),
  }),
  'message.delivered': event({
    cursors: Type.Array(Type.Object({ userId: Uuid, deviceId: DeviceIdSchema, upTo: SeqSchema })),
  }),
  'message.read': event({ cursors: Type.Array(Type.Object({ userId: Uuid, upTo: SeqSchema })) }),
} as const;

export type EventFrameName = keyof typeof EVENT_FRAMES;

/** `{event, data}` for each of the nine, as a union that `switch (frame.event)` narrows. */
export type EventFrame = {
  [Name in EventFrameName]: { event: Name; data: Static<(typeof EVENT_FRAMES)[Name]> };
}[EventFrameName];

export const EventFrameSchema = Type.Union(
  Object.entries(EVENT_FRAMES).map(([name, data]) => Type.Object({ event: Type.Literal(name), data })),
);
