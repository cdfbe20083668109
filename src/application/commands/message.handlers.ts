import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { mayRead } from '../../domain/conversation/visibility';
import { Clock } from '../../kernel/clock';
import { ConversationAccess } from '../access';
import { Executor } from '../executor';
import type { Outcome } from '../outcome';
import { orUnavailable, refused } from '../outcomes';
import { HistoryReads } from '../ports/read-models';
import { ApplicationSettings } from '../settings';
import { TargetMessages } from '../target-messages';
import { DeleteMessageCommand, EditMessageCommand, MarkReadCommand, SetReactionCommand } from './commands';

const same = (outcome: Outcome): Outcome => outcome;

@CommandHandler(EditMessageCommand)
export class EditMessageHandler implements ICommandHandler<EditMessageCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly messages: TargetMessages,
    private readonly clock: Clock,
    private readonly settings: ApplicationSettings,
  ) {}

  execute({ input }: EditMessageCommand): Promise<Outcome> {
    const { conversationId, by, target, content, context } = input;
    return orUnavailable(same, async () => {
      const message = await this.messages.find(conversationId, target);
      const { editWindowMs } = this.settings;
      const facts = { conversationId, by, at: this.clock.now(), target, message };
      return this.executor.execute({ type: 'EditMessage', ...facts, content, editWindowMs }, context);
    });
  }
}

@CommandHandler(SetReactionCommand)
export class SetReactionHandler implements ICommandHandler<SetReactionCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly messages: TargetMessages,
    private readonly clock: Clock,
  ) {}

  execute({ input }: SetReactionCommand): Promise<Outcome> {
    const { conversationId, by, target, emoji, on, context } = input;
    return orUnavailable(same, async () => {
      const message = await this.messages.find(conversationId, target);
      const facts = { conversationId, by, at: this.clock.now(), target, message };
      return this.executor.execute({ type: 'SetReaction', ...facts, emoji, on }, context);
    });
  }
}

@CommandHandler(DeleteMessageCommand)
export class DeleteMessageHandler implements ICommandHandler<DeleteMessageCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly messages: TargetMessages,
    private readonly access: ConversationAccess,
    private readonly history: HistoryReads,
    private readonly clock: Clock,
  ) {}

  execute(command: DeleteMessageCommand): Promise<Outcome> {
    return orUnavailable(same, () =>
      command.input.scope === 'me' ? this.hide(command.input) : this.deleteForEveryone(command.input),
    );
  }

  private async deleteForEveryone({
    conversationId,
    by,
    target,
    context,
  }: DeleteMessageCommand['input']): Promise<Outcome> {
    const message = await this.messages.find(conversationId, target);
    const facts = { conversationId, by, at: this.clock.now(), target, message };
    return this.executor.execute({ type: 'DeleteMessage', ...facts }, context);
  }

  private async hide({ conversationId, by, target }: DeleteMessageCommand['input']): Promise<Outcome> {
    const access = await this.access.of(by, conversationId);
    if (access?.isMember !== true) return NO_SUCH_CONVERSATION;
    const message = await this.messages.find(conversationId, target);
    if (message === undefined || !mayRead(access.ranges, target)) return NO_SUCH_MESSAGE;
    await this.history.hide(by, conversationId, target);
    return { kind: 'unchanged', head: (await this.executor.state(conversationId))?.head ?? -1 };
  }
}

@CommandHandler(MarkReadCommand)
export class MarkReadHandler implements ICommandHandler<MarkReadCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input }: MarkReadCommand): Promise<Outcome> {
    const { conversationId, by, upTo, context } = input;
    return orUnavailable(same, async () => {
      // The state may lag behind what another node has sent this reader: the log is asked before it is refused.
      const state = await this.executor.state(conversationId, upTo);
      // Receipts of others' conversations are left out in silence; who asks for one's own is told.
      if (state?.members.has(by) !== true) return NO_SUCH_CONVERSATION;
      if (upTo > state.head) return refused('invalid_input', 'There is nothing at this seq yet.', 'upTo');
      const cursors = [{ userId: by, upTo }];
      return this.executor.execute(
        { type: 'RecordRead', conversationId, by, at: this.clock.now(), cursors },
        context,
      );
    });
  }
}

const NO_SUCH_CONVERSATION = refused(
  'not_found',
  'There is no such conversation, or you are not a member of it.',
);
const NO_SUCH_MESSAGE = refused('not_found', 'There is no such message in this conversation.');
