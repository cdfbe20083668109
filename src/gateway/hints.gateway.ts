import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Executor } from '../application/executor';
import { EphemeralBus, PresenceStore } from '../application/ports/presence';
import type { ConversationState } from '../domain/conversation/state';
import { asConversationId, asDeviceId, asUserId, type ConversationId, type UserId } from '../kernel/ids';
import { problem } from '../protocol/errors';
import type { ServerFrame } from '../protocol/frames';
import { PresenceWatch } from '../presence/presence-watch';
import { invalidInput, ok, refusal, type Answer, type Incoming } from './answers';
import { TYPING_REPEAT_MS } from './gateway-limits';
import { monotonicNow } from './monotonic';
import type { Session } from './session';

type Membership =
  | { readonly kind: 'member'; readonly state: ConversationState }
  | { readonly kind: 'refused'; readonly answer: Answer };

const encode = (frame: ServerFrame): Buffer => Buffer.from(JSON.stringify(frame));

/** What is passed on and never stored: typing, presence, call signals (PROTOCOL.md sections 2 and 3). */
@WebSocketGateway({ path: '/ws' })
export class HintsGateway {
  constructor(
    private readonly executor: Executor,
    private readonly bus: EphemeralBus,
    private readonly presence: PresenceStore,
    private readonly watch: PresenceWatch,
  ) {}

  /** Goes to the other members' devices, in silence; only a refusal is answered. */
  @SubscribeMessage('typing')
  async typing({ session, caller, data }: Incoming<'typing'>): Promise<Answer | undefined> {
    const conversationId = asConversationId(data.conversationId);
    if (saysNothingNew(session, conversationId, data.isTyping)) return undefined;
    const found = await this.membership(conversationId, caller.userId);
    if (found.kind === 'refused') return found.answer;
    session.typing = { conversationId, isTyping: data.isTyping, at: monotonicNow() };
    const userIds = [...found.state.members.keys()].filter((userId) => userId !== caller.userId);
    const { userId } = caller;
    const bytes = encode({ event: 'typing', data: { conversationId, userId, isTyping: data.isTyping } });
    this.bus.publish({ userIds, exceptSessionId: session.sessionId, bytes });
    return undefined;
  }

  @SubscribeMessage('call.signal')
  async signal({ session, caller, data }: Incoming<'call.signal'>): Promise<Answer> {
    const { toDeviceId } = data;
    const toUserId = asUserId(data.toUserId);
    const found = await this.membership(asConversationId(data.conversationId), caller.userId);
    if (found.kind === 'refused') return found.answer;
    if (!found.state.members.has(toUserId)) {
      return invalidInput([{ field: 'toUserId', message: 'is not a member of the conversation' }]);
    }
    if (found.state.blockers.size > 0) return refusal(problem('blocked', 'one of the two blocks the other'));
    const { userId: fromUserId, deviceId: fromDeviceId } = caller;
    this.bus.publish({
      userIds: [toUserId],
      exceptSessionId: session.sessionId,
      ...(toDeviceId === undefined ? {} : { onlyDeviceId: asDeviceId(toDeviceId) }),
      bytes: encode({ event: 'call.signal', data: { ...data, fromUserId, fromDeviceId } }),
    });
    return ok();
  }

  @SubscribeMessage('presence.set')
  async set({ session, caller, data }: Incoming<'presence.set'>): Promise<Answer> {
    const { userId, deviceId } = caller;
    const key = { userId, deviceId, sessionId: session.sessionId };
    return this.asHint(async () => {
      await this.presence.set(key, data.status, data.customStatus);
      return ok();
    });
  }

  @SubscribeMessage('presence.watch')
  async watchThem({ session, data }: Incoming<'presence.watch'>): Promise<Answer> {
    const userIds = [...new Set(data.userIds)].map(asUserId);
    if (this.watch.watch(session, userIds) === 'tooMany') {
      const message = 'more users would be watched than one socket may watch';
      return invalidInput([{ field: 'userIds', message }]);
    }
    // A session that closed meanwhile has been forgotten before it watched: nobody else would forget it again.
    if (!session.isOpen) this.watch.forget(session);
    return this.asHint(async () => {
      await this.watch.following(userIds);
      return ok({ presences: await this.watch.seen(userIds) });
    });
  }

  @SubscribeMessage('presence.unwatch')
  unwatch({ session, data }: Incoming<'presence.unwatch'>): Answer {
    this.watch.unwatch(session, data.userIds.map(asUserId));
    return ok({ presences: [] });
  }

  /** What a person may not see is `not_found`; those who were members know that it exists. */
  private async membership(conversationId: ConversationId, userId: UserId): Promise<Membership> {
    const state = await this.executor.state(conversationId);
    if (state?.members.has(userId) === true) return { kind: 'member', state };
    const answer =
      state?.departed.has(userId) === true
        ? refusal(problem('not_a_member', 'you are not a member of this conversation'))
        : refusal(problem('not_found', 'there is no such conversation'));
    return { kind: 'refused', answer };
  }

  /** Presence that cannot be reached is worth a retry, not an alarm. */
  private async asHint(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch {
      return refusal(problem('unavailable', 'presence is not available', { retryAfterMs: 1_000 }));
    }
  }
}

function saysNothingNew({ typing }: Session, conversationId: ConversationId, isTyping: boolean): boolean {
  return (
    typing?.conversationId === conversationId &&
    typing.isTyping === isTyping &&
    monotonicNow() - typing.at < TYPING_REPEAT_MS
  );
}
