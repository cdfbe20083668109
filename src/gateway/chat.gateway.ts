import { CommandBus } from '@nestjs/cqrs';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  DeleteMessageCommand,
  EditMessageCommand,
  SendMessageCommand,
  SetReactionCommand,
  type RequestContext,
} from '../application/commands/commands';
import { ReceiptAggregator } from '../delivery/receipts';
import { SyncService } from '../delivery/sync';
import { asClientMessageId, asConversationId, asSeq, asUserId } from '../kernel/ids';
import type { Problem } from '../protocol/errors';
import { measureSend } from '../observability/measure-send';
import { Metrics } from '../observability/metrics';
import { ok, refusal, type Answer, type Incoming } from './answers';
import { monotonicNow } from './monotonic';
import { changeAnswer, sendAnswer } from './outcome-frames';

const okUnless = (refused: Problem | undefined): Answer => (refused === undefined ? ok() : refusal(refused));

/** Messages, receipts and `sync`: what is in the log (PROTOCOL.md section 3). */
@WebSocketGateway({ path: '/ws' })
export class ChatGateway {
  constructor(
    private readonly commands: CommandBus,
    private readonly syncs: SyncService,
    private readonly receipts: ReceiptAggregator,
    private readonly metrics: Metrics,
  ) {}

  /** Answers by itself, page by page; only a refusal is left to say. */
  @SubscribeMessage('sync')
  async sync({ session, id, data }: Incoming<'sync'>): Promise<Answer | undefined> {
    const startedAt = monotonicNow();
    if (!session.hasSynced && Object.keys(data.cursors ?? {}).length > 0) this.metrics.reconnects.inc();
    session.hasSynced = true;
    const refused = await this.syncs.sync(session, data, id);
    if (refused !== undefined) return refusal(refused);
    this.metrics.syncMs.observe(monotonicNow() - startedAt);
    return undefined;
  }

  @SubscribeMessage('message.send')
  async send({ caller, context, data }: Incoming<'message.send'>): Promise<Answer> {
    const clientMessageId = asClientMessageId(data.clientMessageId);
    const command = new SendMessageCommand({
      by: caller.userId,
      ...traced(context),
      ...(data.conversationId === undefined ? {} : { conversationId: asConversationId(data.conversationId) }),
      ...(data.to === undefined ? {} : { to: asUserId(data.to) }),
      clientMessageId,
      content: data.content,
      ...(data.replyTo === undefined ? {} : { replyTo: asSeq(data.replyTo) }),
      ...(data.threadOf === undefined ? {} : { threadOf: asSeq(data.threadOf) }),
      ...(data.mentions === undefined ? {} : { mentions: data.mentions.map(asUserId) }),
    });
    const outcome = await measureSend(this.metrics, () => this.commands.execute(command));
    return sendAnswer(outcome, clientMessageId);
  }

  @SubscribeMessage('message.edit')
  async edit(incoming: Incoming<'message.edit'>): Promise<Answer> {
    const { content } = incoming.data;
    return changeAnswer(
      await this.commands.execute(new EditMessageCommand({ ...onMessage(incoming), content })),
    );
  }

  @SubscribeMessage('message.delete')
  async delete(incoming: Incoming<'message.delete'>): Promise<Answer> {
    const { scope } = incoming.data;
    return changeAnswer(
      await this.commands.execute(new DeleteMessageCommand({ ...onMessage(incoming), scope })),
    );
  }

  @SubscribeMessage('reaction.set')
  async react(incoming: Incoming<'reaction.set'>): Promise<Answer> {
    const { emoji, on } = incoming.data;
    return changeAnswer(
      await this.commands.execute(new SetReactionCommand({ ...onMessage(incoming), emoji, on })),
    );
  }

  /** `ok`: accepted. The event that follows within the receipt window is the confirmation. */
  @SubscribeMessage('delivered')
  async delivered({ caller, data }: Incoming<'delivered'>): Promise<Answer> {
    return okUnless(await this.receipts.delivered(caller.userId, caller.deviceId, data.cursors));
  }

  /** `ok`: accepted, as with `delivered`. */
  @SubscribeMessage('read')
  async read({ caller, data }: Incoming<'read'>): Promise<Answer> {
    const conversationId = asConversationId(data.conversationId);
    return okUnless(await this.receipts.read(caller.userId, conversationId, asSeq(data.upTo)));
  }

  /**
   * One conversation is on a screen: a new one takes its place. From here on its events are pushed, and what was
   * withheld before is to be synced, in one turn of the event loop, so that no push comes between.
   */
  @SubscribeMessage('focus')
  focus({ session, data }: Incoming<'focus'>): Answer {
    session.focused = asConversationId(data.conversationId);
    session.catchUp(session.focused);
    return ok();
  }

  @SubscribeMessage('unfocus')
  unfocus({ session, data }: Incoming<'unfocus'>): Answer {
    if (session.focused === data.conversationId) session.focused = undefined;
    return ok();
  }
}

/** Whoever the socket authenticated as acts, whatever the frame says. */
const onMessage = ({
  caller,
  context,
  data,
}: Incoming<'message.edit' | 'message.delete' | 'reaction.set'>) => ({
  by: caller.userId,
  ...traced(context),
  conversationId: asConversationId(data.conversationId),
  target: asSeq(data.target),
});

const traced = (context: RequestContext | undefined) => (context === undefined ? {} : { context });
