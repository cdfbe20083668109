import type { ServerResponse } from 'node:http';
import { Controller, Get, Headers, Patch, Post, Res, UseGuards } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  ChangeConversationCommand,
  MarkReadCommand,
  StartConversationCommand,
  type RequestContext,
} from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';
import {
  GetConversationAtQuery,
  GetConversationQuery,
  GetEventsQuery,
  GetInboxQuery,
} from '../application/queries/queries';
import { toEventFrame } from '../delivery/event-frame';
import { toConversationDto, toPastConversationDto } from '../delivery/views';
import { asConversationId, asFileId, asSeq, asUserId } from '../kernel/ids';
import type { ConversationId, UserId } from '../kernel/ids';
import { uuidv5 } from '../kernel/uuid';
import type { EventFrame } from '../protocol/events';
import { PAGE_LIMIT_DEFAULT } from '../protocol/limits';
import {
  ChangeConversationBody,
  ConversationAtQuery,
  ConversationList,
  ConversationNowOrThen,
  EventList,
  EventsQuery,
  PageQuery,
  ReadBody,
  StartConversationBody,
  StartedConversation,
  WriteAnswer,
} from '../protocol/rest';
import type { BodyOf, ListDto, QueryOf, WriteAnswerDto } from '../protocol/rest';
import type { ConversationDto, PastConversationDto } from '../protocol/schemas';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { idempotencyKey } from './idempotency-key';
import { Body, PathId, Query } from './input';
import { done, found, writeAnswer } from './outcomes';
import { Caller, Context } from './request';

/** Of the ids of groups that were started with an Idempotency-Key: the same key of the same user, the same group. */
const GROUP_NAMESPACE = '3b0f3f0e-5b0a-5d0c-9c5e-6f1f7a0d2c44';
const CREATED = 201;

@UseGuards(AccessGuard)
@Controller('api/v1/conversations')
export class ConversationsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @Describe({
    summary: 'Start a group, or open the direct conversation with somebody (the same one, always)',
    body: StartConversationBody,
    headers: { 'Idempotency-Key': 'Starting a group again with the same key gives the same group.' },
    answers: { 200: StartedConversation, 201: StartedConversation },
    refusals: ['forbidden', 'blocked', 'not_found', 'conflict', 'too_large'],
  })
  async start(
    @Caller() caller: AccessClaims,
    @Body(StartConversationBody) body: BodyOf<typeof StartConversationBody>,
    @Headers('idempotency-key') header: string | undefined,
    @Context() context: RequestContext,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<ConversationDto & { readonly seq: number }> {
    const { kind, memberIds, title, settings } = body;
    const key = idempotencyKey(header);
    const started = await this.commands.execute(
      new StartConversationCommand({
        by: caller.userId,
        context,
        kind,
        memberIds: memberIds.map(asUserId),
        ...(title === undefined ? {} : { title }),
        ...(settings === undefined ? {} : { settings }),
        ...(key === undefined || kind === 'direct' ? {} : { conversationId: groupId(caller.userId, key) }),
      }),
    );
    const stored = done(started.outcome);
    const { seq } = writeAnswer(stored);
    const conversation = await this.read(caller.userId, started.conversationId, seq);
    if (stored.kind === 'accepted') response.statusCode = CREATED;
    return { ...conversation, seq: seq ?? conversation.headSeq };
  }

  @Get()
  @Describe({
    summary: 'My conversations, newest activity first',
    query: PageQuery,
    answers: { 200: ConversationList },
  })
  async list(
    @Caller() caller: AccessClaims,
    @Query(PageQuery) query: QueryOf<typeof PageQuery>,
  ): Promise<ListDto<ConversationDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, cursor } = query;
    const page = found(
      await this.queries.execute(
        new GetInboxQuery({ userId: caller.userId, limit, ...(cursor === undefined ? {} : { cursor }) }),
      ),
    );
    return { ...page, items: page.items.map(toConversationDto) };
  }

  @Get(':id')
  @Describe({
    summary: 'A conversation of mine, as it is or, with `at`, as it was after an event of my times in it',
    query: ConversationAtQuery,
    answers: { 200: ConversationNowOrThen },
    refusals: ['not_found', 'cursor_truncated'],
  })
  async one(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Query(ConversationAtQuery) query: QueryOf<typeof ConversationAtQuery>,
  ): Promise<ConversationDto | PastConversationDto> {
    const { at, minSeq } = query;
    if (at === undefined) return this.read(caller.userId, id, minSeq);
    const wait = minSeq === undefined ? {} : { minSeq: asSeq(minSeq) };
    const past = new GetConversationAtQuery({
      userId: caller.userId,
      conversationId: id,
      at: asSeq(at),
      ...wait,
    });
    return toPastConversationDto(found(await this.queries.execute(past)));
  }

  @Patch(':id')
  @Describe({
    summary: 'Change title, description, picture or settings',
    body: ChangeConversationBody,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'conflict'],
  })
  async change(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Body(ChangeConversationBody) body: BodyOf<typeof ChangeConversationBody>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const { avatarFileId, ...fields } = body;
    const outcome = await this.commands.execute(
      new ChangeConversationCommand({
        by: caller.userId,
        conversationId: id,
        context,
        ...fields,
        ...(avatarFileId === undefined ? {} : { avatarFileId: asFileId(avatarFileId) }),
      }),
    );
    return writeAnswer(done(outcome));
  }

  @Get(':id/events')
  @Describe({
    summary: 'The raw events after a seq that I may see, as in sync',
    query: EventsQuery,
    answers: { 200: EventList },
    refusals: ['not_found', 'cursor_truncated'],
  })
  async events(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Query(EventsQuery) query: QueryOf<typeof EventsQuery>,
  ): Promise<ListDto<EventFrame>> {
    const { after, limit = PAGE_LIMIT_DEFAULT, minSeq } = query;
    const page = found(
      await this.queries.execute(
        new GetEventsQuery({
          userId: caller.userId,
          conversationId: id,
          limit,
          ...(after === undefined ? {} : { after: asSeq(after) }),
          ...(minSeq === undefined ? {} : { minSeq: asSeq(minSeq) }),
        }),
      ),
    );
    return {
      items: page.items.map(toEventFrame),
      hasMore: page.hasMore,
      ...(page.hasMore && page.next !== undefined ? { nextCursor: String(page.next) } : {}),
    };
  }

  @Post(':id/read')
  @Describe({
    summary: 'Read up to and including a seq; moves forward only',
    body: ReadBody,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'not_found'],
  })
  async markRead(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Body(ReadBody) body: BodyOf<typeof ReadBody>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const outcome = await this.commands.execute(
      new MarkReadCommand({ by: caller.userId, conversationId: id, upTo: asSeq(body.upTo), context }),
    );
    return writeAnswer(done(outcome));
  }

  private async read(
    userId: UserId,
    conversationId: ConversationId,
    minSeq: number | undefined,
  ): Promise<ConversationDto> {
    const query = new GetConversationQuery({
      userId,
      conversationId,
      ...(minSeq === undefined ? {} : { minSeq: asSeq(minSeq) }),
    });
    return toConversationDto(found(await this.queries.execute(query)));
  }
}

const groupId = (userId: UserId, key: string): ConversationId =>
  asConversationId(uuidv5(`${userId}/${key}`, GROUP_NAMESPACE));
