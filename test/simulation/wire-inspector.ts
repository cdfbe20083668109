import type { UserId } from '../../src/kernel/ids';
import type { EventFrame } from '../../src/protocol/events';
import { ALL_SERVER_FRAMES, type ServerFrame } from '../../src/protocol/frames';
import { compile } from '../../src/protocol/validation';
import type { Chronicle, TrueLog } from './chronicle';
import type { Tap } from './network';
import type { Trace } from './trace';

const VALIDATORS = new Map(
  Object.entries(ALL_SERVER_FRAMES).map(([name, schema]) => [name, compile(schema)]),
);

/** The stored event behind each frame, written down here a second time on purpose. */
const STORED: Readonly<Record<string, string>> = {
  'conversation.started': 'ConversationStarted',
  'conversation.changed': 'ConversationChanged',
  'membership.changed': 'MembershipChanged',
  'message.sent': 'MessageSent',
  'message.edited': 'MessageEdited',
  'message.deleted': 'MessageDeleted',
  'reaction.changed': 'ReactionChanged',
  'message.delivered': 'MessageDelivered',
  'message.read': 'MessageRead',
};

const isEvent = (frame: ServerFrame): frame is EventFrame => frame.event in STORED;

/**
 * Reads along on one connection, in the order in which the node writes: whom each frame is for, whether the
 * log holds what it says, and whether every question gets one answer.
 */
export class WireInspector implements Tap {
  private readonly asked = new Map<string, string>();
  private readonly pushed = new Map<string, number>();
  /** A sync is being answered: pushes have to wait for its end. */
  private isHeld = false;
  private pushedMeanwhile: string | undefined;

  constructor(
    private readonly log: TrueLog,
    private readonly trace: Trace,
    private readonly userId: UserId,
    private readonly name: string,
  ) {}

  /** Frames of the device that wait for their answer. */
  get unanswered(): readonly string[] {
    return [...this.asked.values()];
  }

  sent(text: string): void {
    const { id, event } = JSON.parse(text) as { id?: string; event: string };
    if (id !== undefined) this.asked.set(id, event);
  }

  /** With other questions before it, a sync begins only when they are answered, and nobody sees when. */
  arrived(text: string): void {
    if (this.asked.size === 1 && [...this.asked.values()][0] === 'sync') {
      this.isHeld ||= (JSON.parse(text) as { event: string }).event === 'sync';
    }
  }

  wrote(text: string): void {
    const frame = JSON.parse(text) as ServerFrame;
    if (frame.id !== undefined) this.answered(frame, frame.id);
    else if (isEvent(frame)) this.push(frame, text);
    else this.validate(frame);
  }

  private answered(frame: ServerFrame, id: string): void {
    this.validate(frame);
    const asked = this.asked.get(id);
    if (asked === undefined) {
      this.trace.broken('20 explicit errors', `${this.name} got a second answer, ${frame.event}`);
      return;
    }
    if (frame.event === 'sync.page') {
      for (const { events } of frame.data.conversations) {
        for (const event of events as EventFrame[]) this.event(event, JSON.stringify(event));
      }
      return;
    }
    this.asked.delete(id);
    if (asked === 'sync') this.syncEnded(frame.event === 'sync.done');
    if (frame.event === 'error' && frame.data.code === 'internal')
      this.trace.broken('20 explicit errors', `${asked} of ${this.name} met a bug: ${text(frame.data)}`);
  }

  private push(frame: EventFrame, encoded: string): void {
    const { conversationId, seq } = frame.data;
    const last = this.pushed.get(conversationId) ?? -1;
    if (seq <= last)
      this.trace.broken('3 one order', `${this.name} was pushed ${this.label(frame)} after ${last}`);
    this.pushed.set(conversationId, seq);
    if (this.isHeld) this.pushedMeanwhile ??= this.label(frame);
    this.event(frame, encoded);
  }

  /** Pushes of a sync that failed follow before its refusal. */
  private syncEnded(isDone: boolean): void {
    if (isDone && this.pushedMeanwhile !== undefined)
      this.trace.broken(
        '11 the seam',
        `${this.name} was pushed ${this.pushedMeanwhile} before the end of a sync`,
      );
    this.isHeld = false;
    this.pushedMeanwhile = undefined;
  }

  private event(frame: EventFrame, encoded: string): void {
    const chronicle = this.log.chronicle(frame.data.conversationId as never);
    const { seq } = frame.data;
    if (!chronicle.isVisible(this.userId, seq)) {
      const promise = seq > chronicle.head ? '2 no ghost' : "16 never a stranger's frame";
      this.trace.broken(promise, `${this.name} was sent ${this.label(frame)}`);
      return;
    }
    if (chronicle.frames.get(seq) === encoded) return;
    this.validate(frame);
    const why = differenceFrom(chronicle, frame);
    if (why !== undefined) this.trace.broken('2 no ghost', `${this.label(frame)} says otherwise: ${why}`);
    else chronicle.frames.set(seq, encoded);
  }

  private validate(frame: ServerFrame): void {
    const validator = VALIDATORS.get(frame.event);
    if (validator?.check(frame.data) === true) return;
    this.trace.broken('20 explicit errors', `against the contract: ${text(frame)}`);
  }

  private label({ event, data }: EventFrame): string {
    return `${event} ${this.log.chronicle(data.conversationId as never).name}/${data.seq}`;
  }
}

const text = (value: object): string => JSON.stringify(value).slice(0, 300);

/** What a frame says differently from the stored event; cursors may be cut to the receiver's own. */
function differenceFrom(chronicle: Chronicle, frame: EventFrame): string | undefined {
  const stored = chronicle.events[frame.data.seq]?.event;
  if (stored === undefined) return 'the log has nothing there';
  if (stored.type !== STORED[frame.event]) return `the log has ${stored.type}`;
  const said = frame.data as Readonly<Record<string, unknown>>;
  for (const [field, value] of Object.entries(stored)) {
    if (field === 'type' || field === 'contentHash' || field === 'audience') continue;
    if ('audience' in stored && stored.audience !== 'everyone') continue;
    if (JSON.stringify(value) !== JSON.stringify(said[field])) return field;
  }
  return undefined;
}
