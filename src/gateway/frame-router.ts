import { Inject, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { EventLogUnavailable } from '../application/ports/event-log';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import { beginRoot, type Step } from '../application/ports/tracing';
import { CONFIG, type Config } from '../config/config';
import { uuidv7 } from '../kernel/uuid';
import { problem } from '../protocol/errors';
import { CLIENT_FRAME_NAMES, type ClientFrameName } from '../protocol/frames';
import { invalidInput, refusal, withId, type Answer } from './answers';
import { parseClientFrame } from './client-frame';
import { frameHandlersOf, type FrameHandler } from './frame-handlers';
import { frameErrors, isClientFrameName } from './frame-rules';
import { FrameRates } from './frame-rates';
import { GatewayCounters } from './gateway-counters';
import { UNAVAILABLE_RETRY_MS } from './gateway-limits';
import { BINARY, type Inbound } from './lane';
import { monotonicNow } from './monotonic';
import type { Session } from './session';

/** What a person does; the rest a device sends by itself, also from a pocket. */
const BY_HAND: ReadonlySet<string> = new Set<ClientFrameName>([
  'message.send',
  'message.edit',
  'message.delete',
  'reaction.set',
  'read',
  'typing',
  'focus',
  'presence.set',
  'call.signal',
]);

interface Frame {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: object;
}

/**
 * From the bytes of a message to its one answer: looked at, counted, checked, handled. Whatever goes wrong is
 * answered with the frame's id; nothing that a client sends ends in silence or in a rejection.
 */
@Injectable()
export class FrameRouter implements OnApplicationBootstrap {
  private readonly logger = new Logger(FrameRouter.name);
  private readonly handlers = new Map<string, FrameHandler>();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly rates: FrameRates,
    private readonly counters: GatewayCounters,
  ) {}

  /**
   * Its methods handle the frames they subscribe to from now on.
   * @throws Error when a frame has a handler already: one of the two would never run
   */
  adopt(gateway: object): void {
    for (const [event, handler] of frameHandlersOf(gateway)) {
      if (this.handlers.has(event)) throw new Error(`two handlers for the frame ${event}`);
      this.handlers.set(event, handler);
    }
  }

  onApplicationBootstrap(): void {
    if (this.handlers.size === 0) return;
    const missing = CLIENT_FRAME_NAMES.filter((name) => !this.handlers.has(name));
    if (missing.length > 0) throw new Error(`no handler for the frames ${missing.join(', ')}`);
  }

  /** Handles one message to its end, and waits until its answer has room on the socket. Never rejects. */
  async handle(session: Session, message: Inbound): Promise<void> {
    try {
      await this.take(session, message);
    } catch (error) {
      // Only what cannot be answered comes here: an answer that cannot be encoded, a bug of this file.
      const { sessionId, caller } = session;
      this.logger.error({ err: error, sessionId, userId: caller?.userId }, 'a frame could not be answered');
      session.close('internalError');
    }
  }

  private async take(session: Session, message: Inbound): Promise<void> {
    if (message === BINARY) {
      session.close('notAFrame');
      return;
    }
    const frame = parseClientFrame(message, this.config.limits);
    if (frame.kind === 'notAFrame') {
      session.close('notAFrame');
      return;
    }
    this.counters.framesHandled += 1;
    const event = frame.kind === 'frame' ? frame.event : '';
    const now = monotonicNow();
    const retryAfterMs = this.rates.take(session, event, now);
    if (retryAfterMs > 0) {
      const limited = problem('rate_limited', 'too many frames', { retryAfterMs });
      await this.reply(session, refusal(limited), frame.id);
      if (session.breach(now)) session.close('rateLimited');
      return;
    }
    const answer =
      frame.kind === 'malformed' ? invalidInput(frame.errors) : await this.answerTo(session, frame);
    if (answer !== undefined) await this.reply(session, answer, frame.id);
  }

  private async answerTo(session: Session, { event, id, data }: Frame): Promise<Answer | undefined> {
    const { caller } = session;
    if (caller === undefined && event !== 'auth') {
      return refusal(problem('unauthenticated', 'the first frame must be auth'));
    }
    if (!isClientFrameName(event)) return invalidInput([{ field: 'event', message: 'unknown event' }]);
    const errors = frameErrors(event, data, this.config.limits);
    if (errors.length > 0) return invalidInput(errors);
    if (BY_HAND.has(event)) session.used();
    const step = beginRoot(`frame ${event}`, undefined, { 'parley.session': session.sessionId });
    const answer = await this.handled(session, { event, id, data }, step);
    if (answer?.event === 'error') this.noteRefusal(session, { event, id, data }, answer.data.code, step);
    step?.end(answer?.event === 'error' ? answer.data.code : undefined, { 'enduser.id': caller?.userId });
    return answer;
  }

  private async handled(session: Session, frame: Frame, step: Step | undefined): Promise<Answer | undefined> {
    const { event, id, data } = frame;
    const { caller } = session;
    const context = step === undefined ? undefined : { traceparent: step.traceparent };
    const handler = this.handlers.get(event);
    try {
      if (handler === undefined) throw new Error(`no handler for the frame ${event}`);
      return await handler({ session, caller, context, id, data });
    } catch (error) {
      return this.failure(session, frame, error, step?.traceId);
    }
  }

  private noteRefusal(session: Session, frame: Frame, code: string, step: Step | undefined): void {
    this.logger.debug({ ...placeOf(session, frame), code, traceId: step?.traceId }, 'a frame was refused');
  }

  /** A store that is down can be tried again; anything else is a bug, told apart by an id that is in the log. */
  private failure(session: Session, frame: Frame, error: unknown, traceId: string = uuidv7()): Answer {
    if (error instanceof EventLogUnavailable || error instanceof StoreUnavailable) {
      return refusal(
        problem('unavailable', 'a store is not available', { retryAfterMs: UNAVAILABLE_RETRY_MS }),
      );
    }
    this.logger.error({ err: error, traceId, ...placeOf(session, frame) }, 'a frame failed');
    return refusal(problem('internal', 'something went wrong on the server', { traceId }));
  }

  private reply(session: Session, answer: Answer, id: string | undefined): Promise<void> {
    if (answer.event === 'error')
      this.counters.refused(answer.data.code as Parameters<GatewayCounters['refused']>[0]);
    return session.answer(withId(answer, id));
  }
}

const PLAIN_ID = /^[\w-]{1,64}$/;

/** For the log: who asked for what where. A device may call its frames as it likes, so not every name is taken over. */
function placeOf({ sessionId, caller }: Session, { event, id, data }: Frame): object {
  const { conversationId } = data as { readonly conversationId?: unknown };
  return {
    sessionId,
    userId: caller?.userId,
    deviceId: caller?.deviceId,
    frame: event,
    requestId: id !== undefined && PLAIN_ID.test(id) ? id : undefined,
    conversationId,
  };
}
