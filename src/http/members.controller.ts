import { Controller, Delete, Get, Patch, Post, UseGuards } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  AddMembersCommand,
  ChangeRoleCommand,
  LeaveConversationCommand,
  RemoveMemberCommand,
  type RequestContext,
} from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';
import { GetMembersQuery } from '../application/queries/queries';
import { asSeq, asUserId, toIso, type ConversationId, type UserId } from '../kernel/ids';
import { PAGE_LIMIT_DEFAULT } from '../protocol/limits';
import { AddMembersBody, ChangeRoleBody, MemberList, MembersQuery, WriteAnswer } from '../protocol/rest';
import type { BodyOf, ListDto, QueryOf, WriteAnswerDto } from '../protocol/rest';
import { Uuid, type ConversationDto } from '../protocol/schemas';
import { compile } from '../protocol/validation';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { Body, PathId, Query } from './input';
import { done, found, writeAnswer } from './outcomes';
import { invalidInput } from './problem-exception';
import { Caller, Context } from './request';

type MemberDto = ConversationDto['members'][number];

const uuid = compile(Uuid);

@UseGuards(AccessGuard)
@Controller('api/v1/conversations/:id/members')
export class MembersController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Get()
  @Describe({
    summary: 'Members in the order of joining',
    query: MembersQuery,
    answers: { 200: MemberList },
    refusals: ['not_found'],
  })
  async list(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Query(MembersQuery) query: QueryOf<typeof MembersQuery>,
  ): Promise<ListDto<MemberDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, cursor, minSeq } = query;
    if (cursor !== undefined && !uuid.check(cursor)) {
      throw invalidInput({ field: 'cursor', message: 'is not a nextCursor of before' });
    }
    const page = found(
      await this.queries.execute(
        new GetMembersQuery({
          userId: caller.userId,
          conversationId: id,
          limit,
          ...(cursor === undefined ? {} : { after: asUserId(cursor) }),
          ...(minSeq === undefined ? {} : { minSeq: asSeq(minSeq) }),
        }),
      ),
    );
    const last = page.items.at(-1);
    return {
      items: page.items.map(({ userId, role, joinedAt }) => ({ userId, role, joinedAt: toIso(joinedAt) })),
      hasMore: page.hasMore,
      ...(page.hasMore && last !== undefined ? { nextCursor: last.userId } : {}),
    };
  }

  @Post()
  @Describe({
    summary: 'Add people',
    body: AddMembersBody,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'conflict', 'too_large'],
  })
  async add(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Body(AddMembersBody) body: BodyOf<typeof AddMembersBody>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const outcome = await this.commands.execute(
      new AddMembersCommand({
        by: caller.userId,
        conversationId: id,
        context,
        userIds: body.userIds.map(asUserId),
        ...(body.role === undefined ? {} : { role: body.role }),
      }),
    );
    return writeAnswer(done(outcome));
  }

  @Patch(':userId')
  @Describe({
    summary: "Change somebody's role",
    body: ChangeRoleBody,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'conflict'],
  })
  async changeRole(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathId('userId') userId: UserId,
    @Body(ChangeRoleBody) body: BodyOf<typeof ChangeRoleBody>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const outcome = await this.commands.execute(
      new ChangeRoleCommand({ by: caller.userId, conversationId: id, userId, role: body.role, context }),
    );
    return writeAnswer(done(outcome));
  }

  @Delete('me')
  @Describe({
    summary: 'Leave',
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'conflict'],
  })
  async leave(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const outcome = await this.commands.execute(
      new LeaveConversationCommand({ by: caller.userId, conversationId: id, context }),
    );
    return writeAnswer(done(outcome));
  }

  @Delete(':userId')
  @Describe({
    summary: 'Remove somebody; with my own id: leave',
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'conflict'],
  })
  async remove(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathId('userId') userId: UserId,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    if (userId === caller.userId) return this.leave(caller, id, context);
    const outcome = await this.commands.execute(
      new RemoveMemberCommand({ by: caller.userId, conversationId: id, userId, context }),
    );
    return writeAnswer(done(outcome));
  }
}
