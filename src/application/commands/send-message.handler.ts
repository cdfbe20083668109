import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import type { StartConversation } from '../../domain/conversation/commands';
import { directConversationId } from '../../domain/conversation/streams';
import { Clock } from '../../kernel/clock';
import { asConversationId, asMessageId, type ConversationId, type UserId } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import { contentHash } from '../content-hash';
import { Executor } from '../executor';
import type { Outcome } from '../outcome';
import { orUnavailable, refused } from '../outcomes';
import { UserDirectory } from '../ports/user-directory';
import { SendMessageCommand, type ConversationOutcome, type RequestContext } from './commands';

/** Named in an answer when the request did not say which conversation it meant. */
const NO_CONVERSATION = asConversationId('');

@CommandHandler(SendMessageCommand)
export class SendMessageHandler implements ICommandHandler<SendMessageCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
  ) {}

  async execute({ input }: SendMessageCommand): Promise<ConversationOutcome> {
    const { by, to, context } = input;
    if (to === undefined) {
      if (input.conversationId !== undefined) return this.send(input.conversationId, input);
      const outcome = refused('invalid_input', 'Say which conversation, or to whom.', 'conversationId');
      return { conversationId: NO_CONVERSATION, outcome };
    }
    if (input.conversationId !== undefined || to === by) {
      const detail =
        to === by ? 'You cannot write to yourself.' : 'Say which conversation or to whom, not both.';
      return {
        conversationId: input.conversationId ?? NO_CONVERSATION,
        outcome: refused('invalid_input', detail, 'to'),
      };
    }
    const conversationId = directConversationId(by, to);
    const problem = await this.startDirect(conversationId, by, to, context);
    return problem === undefined ? this.send(conversationId, input) : { conversationId, outcome: problem };
  }

  /**
   * Makes the direct conversation when there is none; two at once make one. A crash between this and the message
   * leaves an empty conversation, and the retry goes on from there. undefined: it exists now.
   */
  private startDirect(
    conversationId: ConversationId,
    by: UserId,
    to: UserId,
    context: RequestContext | undefined,
  ): Promise<Outcome | undefined> {
    return orUnavailable<Outcome | undefined>(
      (outcome) => outcome,
      async () => {
        if ((await this.executor.state(conversationId)) !== undefined) return undefined;
        if (!(await this.users.existing([to])).has(to))
          return refused('not_found', 'There is no such user.', 'to');
        const start: StartConversation = {
          type: 'StartConversation',
          conversationId,
          by,
          at: this.clock.now(),
          kind: 'direct',
          memberIds: [to],
        };
        const outcome = await this.executor.execute(start, context);
        return outcome.kind === 'accepted' || outcome.kind === 'unchanged' ? undefined : outcome;
      },
    );
  }

  private async send(
    conversationId: ConversationId,
    input: SendMessageCommand['input'],
  ): Promise<ConversationOutcome> {
    const { by, clientMessageId, content, replyTo, threadOf, forwardedFrom, mentions, originalAt } = input;
    const outcome = await this.executor.execute(
      {
        type: 'SendMessage',
        conversationId,
        by,
        at: this.clock.now(),
        clientMessageId,
        // A proposal: a retry is answered with the id that is stored.
        messageId: asMessageId(uuidv7()),
        content,
        contentHash: contentHash(input),
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(threadOf === undefined ? {} : { threadOf }),
        ...(forwardedFrom === undefined ? {} : { forwardedFrom }),
        ...(mentions === undefined ? {} : { mentions }),
        ...(originalAt === undefined ? {} : { originalAt }),
      },
      input.context,
    );
    return { conversationId, outcome };
  }
}
