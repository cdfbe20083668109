import type { ConversationOutcome } from '../application/commands/commands';
import type { Outcome } from '../application/outcome';
import type { Refusal } from '../domain/conversation/commands';
import { assertNever } from '../kernel/assert-never';
import { toIso, type ClientMessageId, type Millis } from '../kernel/ids';
import { problem } from '../protocol/errors';
import type { ServerFrameData } from '../protocol/frames';
import { ok, refusal, type Answer } from './answers';

/** The refusal of a command as an `error` (PROTOCOL.md section 4), with the field at fault when there is one. */
export const refused = ({ code, detail, field }: Refusal): Answer =>
  refusal(problem(code, detail, field === undefined ? {} : { errors: [{ field, message: detail }] }));

const unavailable = ({ detail, retryAfterMs }: { detail: string; retryAfterMs: number }): Answer =>
  refusal(problem('unavailable', detail, { retryAfterMs }));

type AckData = Omit<ServerFrameData<'message.ack'>, 'at'> & { readonly at: Millis };

// Field by field: this is the hottest answer, and spreading an event costs more than all the rest of it.
const ack = ({
  conversationId,
  clientMessageId,
  messageId,
  seq,
  ordinal,
  at,
  duplicate,
}: AckData): Answer => ({
  event: 'message.ack',
  data: { conversationId, clientMessageId, messageId, seq, ordinal, at: toIso(at), duplicate },
});

/** What a device hears of its `message.send`. */
export function sendAnswer(
  { conversationId, outcome }: ConversationOutcome,
  clientMessageId: ClientMessageId,
): Answer {
  switch (outcome.kind) {
    case 'accepted': {
      for (const { event, seq, at } of outcome.events) {
        if (event.type !== 'MessageSent' || event.clientMessageId !== clientMessageId) continue;
        const { messageId, ordinal } = event;
        return ack({ conversationId, clientMessageId, messageId, seq, ordinal, at, duplicate: false });
      }
      throw new Error('an accepted send recorded no message');
    }
    case 'repeated': {
      const { messageId, seq, ordinal, at } = outcome.message;
      return ack({ conversationId, clientMessageId, messageId, seq, ordinal, at, duplicate: true });
    }
    case 'unchanged':
      throw new Error('a send changed nothing');
    case 'refused':
      return refused(outcome.refusal);
    case 'unavailable':
      return unavailable(outcome);
    default:
      return assertNever(outcome);
  }
}

/** What a device hears of any other command: `ok`, with the seq that a read may wait for. */
export function changeAnswer(outcome: Outcome): Answer {
  switch (outcome.kind) {
    case 'accepted': {
      const last = outcome.events.at(-1);
      return last === undefined ? ok() : ok({ seq: last.seq });
    }
    case 'repeated':
      return ok({ seq: outcome.message.seq });
    case 'unchanged':
      return outcome.head < 0 ? ok() : ok({ seq: outcome.head });
    case 'refused':
      return refused(outcome.refusal);
    case 'unavailable':
      return unavailable(outcome);
    default:
      return assertNever(outcome);
  }
}
