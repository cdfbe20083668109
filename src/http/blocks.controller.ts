import { Controller, Delete, Get, Put, UseGuards } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import {
  SetBlockCommand,
  StartConversationCommand,
  type RequestContext,
} from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';
import { UserDirectory } from '../application/ports/user-directory';
import { directConversationId } from '../domain/conversation/streams';
import { Blocks } from '../identity/blocks';
import { asUserId, type UserId } from '../kernel/ids';
import { PAGE_LIMIT_DEFAULT } from '../protocol/limits';
import {
  PageQuery,
  UserList,
  WriteAnswer,
  type ListDto,
  type QueryOf,
  type WriteAnswerDto,
} from '../protocol/rest';
import { Uuid, type UserDto } from '../protocol/schemas';
import { compile } from '../protocol/validation';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { toUserDto } from './dto';
import { PathId, Query } from './input';
import { done, writeAnswer } from './outcomes';
import { invalidInput, notFound } from './problem-exception';
import { Caller, Context } from './request';

const uuid = compile(Uuid);

/**
 * Blocking lives in two places: the list of whom one blocks is identity's, what it forbids is decided in the log
 * of the direct conversation, which is why that conversation is opened when there is none yet.
 */
@UseGuards(AccessGuard)
@Controller('api/v1')
export class BlocksController {
  constructor(
    private readonly blocks: Blocks,
    private readonly users: UserDirectory,
    private readonly commands: CommandBus,
  ) {}

  @Put('users/:id/block')
  @Describe({
    summary: 'Block somebody: neither can write in the direct conversation',
    answers: { 200: WriteAnswer },
    refusals: ['not_found'],
  })
  async block(
    @Caller() caller: AccessClaims,
    @PathId('id') id: UserId,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const by = caller.userId;
    await this.refuseNobody(by, id);
    await this.blocks.add(by, id);
    const opened = await this.commands.execute(
      new StartConversationCommand({ by, context, kind: 'direct', memberIds: [id] }),
    );
    done(opened.outcome);
    const { conversationId } = opened;
    const outcome = await this.commands.execute(
      new SetBlockCommand({ by, conversationId, on: true, context }),
    );
    return writeAnswer(done(outcome));
  }

  @Delete('users/:id/block')
  @Describe({ summary: 'Unblock somebody', answers: { 200: WriteAnswer }, refusals: ['not_found'] })
  async unblock(
    @Caller() caller: AccessClaims,
    @PathId('id') id: UserId,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const by = caller.userId;
    await this.refuseNobody(by, id);
    const conversationId = directConversationId(by, id);
    const outcome = await this.commands.execute(
      new SetBlockCommand({ by, conversationId, on: false, context }),
    );
    const neverMet = outcome.kind === 'refused' && outcome.refusal.code === 'not_found';
    const answer = neverMet ? {} : writeAnswer(done(outcome));
    // Taken off the list last: a list that says "blocked" too long is safer than one that says so too short.
    await this.blocks.remove(by, id);
    return answer;
  }

  @Get('blocks')
  @Describe({ summary: 'Whom I block', query: PageQuery, answers: { 200: UserList } })
  async list(
    @Caller() caller: AccessClaims,
    @Query(PageQuery) query: QueryOf<typeof PageQuery>,
  ): Promise<ListDto<UserDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, cursor } = query;
    if (cursor !== undefined && !uuid.check(cursor)) {
      throw invalidInput({ field: 'cursor', message: 'is not a nextCursor of before' });
    }
    const page = await this.blocks.list(caller.userId, {
      limit,
      ...(cursor === undefined ? {} : { after: asUserId(cursor) }),
    });
    return {
      items: page.items.map(toUserDto),
      hasMore: page.hasMore,
      ...(page.next === undefined ? {} : { nextCursor: page.next }),
    };
  }

  private async refuseNobody(by: UserId, other: UserId): Promise<void> {
    if (other === by) throw invalidInput({ field: 'id', message: 'must be somebody else' });
    if (!(await this.users.existing([other])).has(other)) throw notFound();
  }
}
