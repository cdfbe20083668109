import type {
  ConversationView,
  MemberView,
  MessageView,
  PastConversationView,
  VersionView,
} from '../application/ports/read-models';
import { toIso } from '../kernel/ids';
import type {
  ConversationDto,
  MessageDto,
  MessageVersionDto,
  PastConversationDto,
} from '../protocol/schemas';

/** A message as REST and `sync` show it (PROTOCOL.md section 5). */
export function toMessageDto(view: MessageView): MessageDto {
  const { at, mentions, editedAt, deletedAt, reactions, forwardedFrom, ...fields } = view;
  return {
    ...fields,
    at: toIso(at),
    mentions: [...mentions],
    reactions: reactions.map((reaction) => ({ ...reaction, userIds: [...reaction.userIds] })),
    ...(forwardedFrom === undefined ? {} : { forwardedFrom: { ...forwardedFrom } }),
    ...(editedAt === undefined ? {} : { editedAt: toIso(editedAt) }),
    ...(deletedAt === undefined ? {} : { deletedAt: toIso(deletedAt) }),
  };
}

/** A version of a message as REST shows it. */
export const toVersionDto = ({ at, ...fields }: VersionView): MessageVersionDto => ({
  ...fields,
  at: toIso(at),
});

/** A conversation as REST and `sync` show it (PROTOCOL.md section 5). */
export function toConversationDto(view: ConversationView): ConversationDto {
  const { members, settings, lastMessage, createdAt, activeAt, ...fields } = view;
  return {
    ...fields,
    members: members.map(toMemberDto),
    settings: { ...settings },
    lastMessage: lastMessage === null ? null : toMessageDto(lastMessage),
    createdAt: toIso(createdAt),
    activeAt: toIso(activeAt),
  };
}

/** A conversation as REST shows that it was. */
export function toPastConversationDto(view: PastConversationView): PastConversationDto {
  const { members, settings, createdAt, ...fields } = view;
  return {
    ...fields,
    members: members.map(toMemberDto),
    settings: { ...settings },
    createdAt: toIso(createdAt),
  };
}

const toMemberDto = ({ userId, role, joinedAt }: MemberView) => ({ userId, role, joinedAt: toIso(joinedAt) });
