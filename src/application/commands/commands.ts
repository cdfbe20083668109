import { Command } from '@nestjs/cqrs';
import type {
  ConversationKind,
  ConversationSettings,
  ForwardedFrom,
  MessageContent,
  Role,
} from '../../domain/conversation/events';
import type { ClientMessageId, ConversationId, FileId, Seq, UserId } from '../../kernel/ids';
import type { Outcome } from '../outcome';

/** Where a request came from; becomes event metadata. */
export interface RequestContext {
  /** Default: a new UUIDv7. */
  readonly correlationId?: string;
  readonly traceparent?: string;
}

export interface ConversationOutcome {
  readonly conversationId: ConversationId;
  readonly outcome: Outcome;
}

interface By {
  /** Always the authenticated user; no field of a request can name another. */
  readonly by: UserId;
  readonly context?: RequestContext;
}
interface In extends By {
  readonly conversationId: ConversationId;
}

/** Base of all requests that change a conversation; executed on the CommandBus. */
abstract class Request<T, R = Outcome> extends Command<R> {
  constructor(readonly input: Readonly<T>) {
    super();
  }
}

/** To a conversation, or `to` a user: their direct conversation, made if need be. Exactly one of the two. */
export class SendMessageCommand extends Request<
  By & {
    readonly conversationId?: ConversationId;
    readonly to?: UserId;
    readonly clientMessageId: ClientMessageId;
    readonly content: MessageContent;
    readonly replyTo?: Seq;
    readonly threadOf?: Seq;
    readonly forwardedFrom?: ForwardedFrom;
    readonly mentions?: readonly UserId[];
    readonly originalAt?: string;
  },
  ConversationOutcome
> {}

export class EditMessageCommand extends Request<
  In & { readonly target: Seq; readonly content: MessageContent }
> {}

/** `me` hides the message from this user alone and leaves the log as it is. */
export class DeleteMessageCommand extends Request<
  In & { readonly target: Seq; readonly scope: 'everyone' | 'me' }
> {}

export class SetReactionCommand extends Request<
  In & { readonly target: Seq; readonly emoji: string; readonly on: boolean }
> {}

/** A direct conversation that exists already is answered with `unchanged`. */
export class StartConversationCommand extends Request<
  By & {
    readonly kind: ConversationKind;
    readonly memberIds: readonly UserId[];
    readonly title?: string;
    readonly settings?: Partial<ConversationSettings>;
    /** Groups only; default a new UUIDv7. A caller that chooses it can repeat the request safely. */
    readonly conversationId?: ConversationId;
  },
  ConversationOutcome
> {}

export class ChangeConversationCommand extends Request<
  In & {
    readonly title?: string;
    readonly description?: string;
    readonly avatarFileId?: FileId;
    readonly settings?: Partial<ConversationSettings>;
  }
> {}

export class AddMembersCommand extends Request<
  In & { readonly userIds: readonly UserId[]; readonly role?: Role }
> {}
export class RemoveMemberCommand extends Request<In & { readonly userId: UserId }> {}
export class LeaveConversationCommand extends Request<In> {}
export class ChangeRoleCommand extends Request<In & { readonly userId: UserId; readonly role: Role }> {}
/** Blocks or unblocks the other one of a direct conversation. */
export class SetBlockCommand extends Request<In & { readonly on: boolean }> {}
/** Read cursor, durable before it answers; sockets go through the receipt aggregator instead. */
export class MarkReadCommand extends Request<In & { readonly upTo: Seq }> {}
