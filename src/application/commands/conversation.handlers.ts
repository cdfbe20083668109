import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { directConversationId } from '../../domain/conversation/streams';
import { Clock } from '../../kernel/clock';
import { asConversationId, type ConversationId, type UserId } from '../../kernel/ids';
import { uuidv7 } from '../../kernel/uuid';
import { Executor } from '../executor';
import type { Outcome } from '../outcome';
import { orUnavailable, refused } from '../outcomes';
import { UserDirectory } from '../ports/user-directory';
import { ApplicationSettings } from '../settings';
import {
  AddMembersCommand,
  ChangeConversationCommand,
  ChangeRoleCommand,
  LeaveConversationCommand,
  RemoveMemberCommand,
  SetBlockCommand,
  StartConversationCommand,
  type ConversationOutcome,
} from './commands';

/** Everybody who is to become a member must have an account; undefined: all have. */
async function strangersAmong(
  users: UserDirectory,
  userIds: readonly UserId[],
  membersMax: number,
  field: string,
): Promise<Outcome | undefined> {
  const distinct = [...new Set(userIds)];
  if (distinct.length > membersMax) {
    return refused('too_large', `A conversation has at most ${membersMax} members.`, field);
  }
  if (distinct.length === 0) return undefined;
  const existing = await users.existing(distinct);
  return distinct.every((userId) => existing.has(userId))
    ? undefined
    : refused('invalid_input', 'Not all of these users exist.', field);
}

@CommandHandler(StartConversationCommand)
export class StartConversationHandler implements ICommandHandler<StartConversationCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly settings: ApplicationSettings,
  ) {}

  execute({ input }: StartConversationCommand): Promise<ConversationOutcome> {
    const { by, kind, memberIds, title, settings, context } = input;
    const conversationId = this.idOf(input);
    const { membersMax } = this.settings;
    return orUnavailable(
      (outcome) => ({ conversationId, outcome }),
      async () => {
        const problem = await strangersAmong(this.users, memberIds, membersMax, 'memberIds');
        if (problem !== undefined) return { conversationId, outcome: problem };
        const outcome = await this.executor.execute(
          {
            type: 'StartConversation',
            conversationId,
            by,
            at: this.clock.now(),
            kind,
            memberIds,
            membersMax,
            ...(title === undefined ? {} : { title }),
            ...(settings === undefined ? {} : { settings }),
          },
          context,
        );
        return { conversationId, outcome };
      },
    );
  }

  /** Two people have one direct conversation; what is no pair gets any id, and is refused under it. */
  private idOf({ by, kind, memberIds, conversationId }: StartConversationCommand['input']): ConversationId {
    const [other, ...more] = new Set(memberIds.filter((userId) => userId !== by));
    if (kind === 'direct' && other !== undefined && more.length === 0) return directConversationId(by, other);
    return (kind === 'group' ? conversationId : undefined) ?? asConversationId(uuidv7());
  }
}

@CommandHandler(AddMembersCommand)
export class AddMembersHandler implements ICommandHandler<AddMembersCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly users: UserDirectory,
    private readonly clock: Clock,
    private readonly settings: ApplicationSettings,
  ) {}

  execute({ input }: AddMembersCommand): Promise<Outcome> {
    const { context, ...rest } = input;
    const { membersMax } = this.settings;
    return orUnavailable(
      (outcome) => outcome,
      async () =>
        (await strangersAmong(this.users, input.userIds, membersMax, 'userIds')) ??
        this.executor.execute({ type: 'AddMembers', at: this.clock.now(), ...rest, membersMax }, context),
    );
  }
}

@CommandHandler(ChangeConversationCommand)
export class ChangeConversationHandler implements ICommandHandler<ChangeConversationCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input: { context, ...rest } }: ChangeConversationCommand): Promise<Outcome> {
    return this.executor.execute({ type: 'ChangeConversation', at: this.clock.now(), ...rest }, context);
  }
}

@CommandHandler(RemoveMemberCommand)
export class RemoveMemberHandler implements ICommandHandler<RemoveMemberCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input: { context, ...rest } }: RemoveMemberCommand): Promise<Outcome> {
    return this.executor.execute({ type: 'RemoveMember', at: this.clock.now(), ...rest }, context);
  }
}

@CommandHandler(LeaveConversationCommand)
export class LeaveConversationHandler implements ICommandHandler<LeaveConversationCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input: { context, ...rest } }: LeaveConversationCommand): Promise<Outcome> {
    return this.executor.execute({ type: 'LeaveConversation', at: this.clock.now(), ...rest }, context);
  }
}

@CommandHandler(ChangeRoleCommand)
export class ChangeRoleHandler implements ICommandHandler<ChangeRoleCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input: { context, ...rest } }: ChangeRoleCommand): Promise<Outcome> {
    return this.executor.execute({ type: 'ChangeRole', at: this.clock.now(), ...rest }, context);
  }
}

@CommandHandler(SetBlockCommand)
export class SetBlockHandler implements ICommandHandler<SetBlockCommand> {
  constructor(
    private readonly executor: Executor,
    private readonly clock: Clock,
  ) {}

  execute({ input: { context, ...rest } }: SetBlockCommand): Promise<Outcome> {
    return this.executor.execute({ type: 'SetBlock', at: this.clock.now(), ...rest }, context);
  }
}
