import type { ServerResponse } from 'node:http';
import { Controller, Delete, Get, Headers, Inject, Patch, Post, Put, Res, UseGuards } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  DeleteMessageCommand,
  EditMessageCommand,
  SendMessageCommand,
  SetReactionCommand,
  type RequestContext,
} from '../application/commands/commands';
import type { AccessClaims } from '../application/ports/access-tokens';
import {
  GetMessageQuery,
  GetMessagesQuery,
  GetReceiptsQuery,
  GetVersionsQuery,
} from '../application/queries/queries';
import { CONFIG, type Config } from '../config/config';
import { toMessageDto, toVersionDto } from '../delivery/views';
import {
  asClientMessageId,
  asConversationId,
  asSeq,
  asUserId,
  type ConversationId,
  type Seq,
} from '../kernel/ids';
import { PAGE_LIMIT_DEFAULT } from '../protocol/limits';
import {
  ConversationQuery,
  DeleteMessageQuery,
  EditMessageBody,
  MessageAck,
  MessageList,
  MessagesQuery,
  Receipts,
  SendMessageBody,
  VersionList,
  VersionsQuery,
  WriteAnswer,
} from '../protocol/rest';
import { measureSend } from '../observability/measure-send';
import { Metrics } from '../observability/metrics';
import type { BodyOf, ListDto, MessageAckDto, QueryOf, WriteAnswerDto } from '../protocol/rest';
import { Message, type MessageDto, type MessageVersionDto } from '../protocol/schemas';
import { AccessGuard } from './access.guard';
import { Describe } from './describe';
import { idempotencyKey } from './idempotency-key';
import { Body, PathEmoji, PathId, PathSeq, Query, refuseBadContent } from './input';
import { messageAck } from './message-ack';
import { MessageRate } from './message-rate';
import { done, found, writeAnswer } from './outcomes';
import { invalidInput } from './problem-exception';
import { Caller, Context } from './request';

const OK = 200;
const CREATED = 201;

@UseGuards(AccessGuard)
@Controller('api/v1/conversations/:id/messages')
export class MessagesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly rate: MessageRate,
    private readonly metrics: Metrics,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @Describe({
    summary: 'Messages as they now are, oldest first inside a page; without a place, the newest',
    query: MessagesQuery,
    answers: { 200: MessageList },
    refusals: ['not_found'],
  })
  async page(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Query(MessagesQuery) query: QueryOf<typeof MessagesQuery>,
  ): Promise<ListDto<MessageDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, before, after, around, minSeq } = query;
    if ([before, after, around].filter((place) => place !== undefined).length > 1) {
      throw invalidInput({ field: 'before', message: 'give at most one of before, after, around' });
    }
    const page = found(
      await this.queries.execute(
        new GetMessagesQuery({
          userId: caller.userId,
          conversationId: id,
          limit,
          ...(before === undefined ? {} : { before: asSeq(before) }),
          ...(after === undefined ? {} : { after: asSeq(after) }),
          ...(around === undefined ? {} : { around: asSeq(around) }),
          ...(minSeq === undefined ? {} : { minSeq: asSeq(minSeq) }),
        }),
      ),
    );
    return { items: page.items.map(toMessageDto), hasMore: page.hasMore };
  }

  @Post()
  @Describe({
    summary:
      'Send a message. Idempotency-Key and clientMessageId are one and the same; one of them is needed',
    body: SendMessageBody,
    headers: {
      'Idempotency-Key': 'The clientMessageId: stable over retries, 1..64 of A-Z, a-z, 0-9, _ and -.',
    },
    answers: { 201: MessageAck, 200: MessageAck },
    refusals: [
      'not_a_member',
      'forbidden',
      'blocked',
      'not_found',
      'client_message_id_reused',
      'rate_limited',
    ],
  })
  async send(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @Body(SendMessageBody) body: BodyOf<typeof SendMessageBody>,
    @Headers('idempotency-key') header: string | undefined,
    @Context() context: RequestContext,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<MessageAckDto> {
    const { content, replyTo, threadOf, forwardedFrom, mentions } = body;
    const clientMessageId = asClientMessageId(keyOf(header, body.clientMessageId));
    refuseBadContent(content, this.config.limits.bodyBytesMax);
    this.rate.spend(caller.userId);
    const command = new SendMessageCommand({
      by: caller.userId,
      conversationId: id,
      context,
      clientMessageId,
      content,
      ...(replyTo === undefined ? {} : { replyTo: asSeq(replyTo) }),
      ...(threadOf === undefined ? {} : { threadOf: asSeq(threadOf) }),
      ...(forwardedFrom === undefined
        ? {}
        : {
            forwardedFrom: {
              conversationId: asConversationId(forwardedFrom.conversationId),
              seq: asSeq(forwardedFrom.seq),
            },
          }),
      ...(mentions === undefined ? {} : { mentions: mentions.map(asUserId) }),
    });
    const { conversationId, outcome } = await measureSend(this.metrics, () => this.commands.execute(command));
    const ack = messageAck(conversationId, clientMessageId, done(outcome));
    response.statusCode = ack.duplicate ? OK : CREATED;
    return ack;
  }

  @Get(':seq')
  @Describe({
    summary: 'A message as it now is',
    query: ConversationQuery,
    answers: { 200: Message },
    refusals: ['not_found'],
  })
  async one(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @Query(ConversationQuery) query: QueryOf<typeof ConversationQuery>,
  ): Promise<MessageDto> {
    return toMessageDto(
      found(await this.queries.execute(new GetMessageQuery(inRead(caller, id, seq, query)))),
    );
  }

  @Get(':seq/receipts')
  @Describe({
    summary: 'Who has got and who has read a message',
    query: ConversationQuery,
    answers: { 200: Receipts },
    refusals: ['not_found'],
  })
  async receipts(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @Query(ConversationQuery) query: QueryOf<typeof ConversationQuery>,
  ) {
    return found(await this.queries.execute(new GetReceiptsQuery(inRead(caller, id, seq, query))));
  }

  @Get(':seq/versions')
  @Describe({
    summary: 'What a message has said, from the first version on: those made while I was a member',
    query: VersionsQuery,
    answers: { 200: VersionList },
    refusals: ['not_found'],
  })
  async versions(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @Query(VersionsQuery) query: QueryOf<typeof VersionsQuery>,
  ): Promise<ListDto<MessageVersionDto>> {
    const { limit = PAGE_LIMIT_DEFAULT, after, ...wait } = query;
    const place = after === undefined ? {} : { after: asSeq(after) };
    const page = found(
      await this.queries.execute(new GetVersionsQuery({ ...inRead(caller, id, seq, wait), limit, ...place })),
    );
    return { items: page.items.map(toVersionDto), hasMore: page.hasMore };
  }

  @Patch(':seq')
  @Describe({
    summary: 'Edit a message of mine, within the edit window',
    body: EditMessageBody,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found', 'edit_window_closed'],
  })
  async edit(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @Body(EditMessageBody) body: BodyOf<typeof EditMessageBody>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    refuseBadContent(body.content, this.config.limits.bodyBytesMax);
    const outcome = await this.commands.execute(
      new EditMessageCommand({
        by: caller.userId,
        conversationId: id,
        target: seq,
        content: body.content,
        context,
      }),
    );
    return writeAnswer(done(outcome));
  }

  @Delete(':seq')
  @Describe({
    summary: 'Delete a message for everyone, or for me alone',
    query: DeleteMessageQuery,
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'forbidden', 'not_found'],
  })
  async remove(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @Query(DeleteMessageQuery) query: QueryOf<typeof DeleteMessageQuery>,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    const outcome = await this.commands.execute(
      new DeleteMessageCommand({
        by: caller.userId,
        conversationId: id,
        target: seq,
        scope: query.scope ?? 'everyone',
        context,
      }),
    );
    return writeAnswer(done(outcome));
  }

  @Put(':seq/reactions/:emoji')
  @Describe({
    summary: 'React',
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'not_found', 'conflict'],
  })
  react(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @PathEmoji() emoji: string,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    return this.setReaction({ by: caller.userId, conversationId: id, target: seq, emoji, on: true, context });
  }

  @Delete(':seq/reactions/:emoji')
  @Describe({
    summary: 'Take a reaction back',
    answers: { 200: WriteAnswer },
    refusals: ['not_a_member', 'not_found'],
  })
  unreact(
    @Caller() caller: AccessClaims,
    @PathId('id') id: ConversationId,
    @PathSeq() seq: Seq,
    @PathEmoji() emoji: string,
    @Context() context: RequestContext,
  ): Promise<WriteAnswerDto> {
    return this.setReaction({
      by: caller.userId,
      conversationId: id,
      target: seq,
      emoji,
      on: false,
      context,
    });
  }

  private async setReaction(input: SetReactionCommand['input']): Promise<WriteAnswerDto> {
    return writeAnswer(done(await this.commands.execute(new SetReactionCommand(input))));
  }
}

/** One key under two names: given twice, they must agree. */
function keyOf(header: string | undefined, field: string | undefined): string {
  const key = idempotencyKey(header);
  if (key !== undefined && field !== undefined && key !== field) {
    throw invalidInput({ field: 'clientMessageId', message: 'must equal the Idempotency-Key' });
  }
  const chosen = field ?? key;
  if (chosen === undefined) {
    throw invalidInput({ field: 'clientMessageId', message: 'is needed, here or as Idempotency-Key' });
  }
  return chosen;
}

function inRead(
  caller: AccessClaims,
  conversationId: ConversationId,
  seq: Seq,
  query: QueryOf<typeof ConversationQuery>,
) {
  const { minSeq } = query;
  const wait = minSeq === undefined ? {} : { minSeq: asSeq(minSeq) };
  return { userId: caller.userId, conversationId, seq, ...wait };
}
