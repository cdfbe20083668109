import { Inject, Injectable, Logger, Optional, type OnApplicationShutdown } from '@nestjs/common';
import type { ConversationCommand, LookupRequest } from '../domain/conversation/commands';
import type { ConversationState } from '../domain/conversation/state';
import type { ConversationId, Seq } from '../kernel/ids';
import type { RequestContext } from './commands/commands';
import { BatchWriter, type Handed } from './executor/batch';
import { ConversationLoader } from './executor/conversation-loader';
import { Job } from './executor/job';
import { KeyLookup } from './executor/key-lookup';
import { Lane } from './executor/lane';
import { SnapshotWriter } from './executor/snapshot-writer';
import { STATES_MAX, WarmConversations } from './executor/warm-conversations';
import type { Outcome } from './outcome';
import { unavailable } from './outcomes';
import { EventLog, type LogEvent } from './ports/event-log';
import { MessageIndex } from './ports/message-index';
import { beginStep } from './ports/tracing';

/** Commands that may be under way in one process, over all conversations. */
export const COMMANDS_MAX = 20_000;
/** How often one command may come back from the index to a conversation that has moved on too far meanwhile. */
export const LOOKUPS_PER_COMMAND_MAX = 5;

/** Injection token: conversations whose state a process keeps; absent: STATES_MAX. */
export const WARM_STATES_MAX = Symbol('WARM_STATES_MAX');

const BUSY = unavailable('Too much is going on at once. Try again.');
const CLOSING = unavailable('This node is shutting down. Try again.');
const INDEX_UNAVAILABLE = unavailable('Whether this was sent before cannot be told right now. Try again.');

/**
 * The write side's engine (DESIGN.md section 3): one lane per conversation. A lane takes what has gathered,
 * decides each command on what those before it made of the conversation, and appends all events at once with the
 * expected revision. Lanes run side by side.
 *
 * Commands of one conversation are decided in the order in which `execute` was called, with one exception: one
 * whose key must be looked up in the permanent index lets those behind it pass. Whoever needs two messages of
 * one sender in order waits for the first one's outcome, as a socket does.
 */
@Injectable()
export class Executor implements OnApplicationShutdown {
  private readonly lanes = new Map<ConversationId, Lane>();
  private readonly conversations: WarmConversations;
  private readonly snapshots: SnapshotWriter;
  private readonly writer: BatchWriter;
  private readonly keys: KeyLookup;
  private readonly logger = new Logger(Executor.name);
  /** Lanes that begin at the end of this turn of the event loop. */
  private ready: Lane[] = [];
  private size = 0;
  private isClosed = false;
  private whenEmpty: (() => void) | undefined;

  constructor(
    log: EventLog,
    index: MessageIndex,
    @Optional() @Inject(WARM_STATES_MAX) statesMax: number = STATES_MAX,
  ) {
    this.conversations = new WarmConversations(new ConversationLoader(log), statesMax);
    this.snapshots = new SnapshotWriter(log);
    this.writer = new BatchWriter(log, this.conversations, this.snapshots);
    this.keys = new KeyLookup(index);
  }

  /**
   * Resolves once the command's events are durable, or nothing will come of it. A full lane (LANE_COMMANDS_MAX),
   * a full process (COMMANDS_MAX) and a log that is down answer `unavailable`. Rejects only for bugs.
   */
  execute(command: ConversationCommand, context?: RequestContext): Promise<Outcome> {
    if (this.isClosed) return Promise.resolve(CLOSING);
    const id = command.conversationId;
    let lane = this.lanes.get(id);
    if (this.size >= COMMANDS_MAX || lane?.isFull === true) return Promise.resolve(BUSY);
    if (lane === undefined) {
      lane = new Lane(id);
      this.lanes.set(id, lane);
    }
    return this.add(lane, command, context);
  }

  /**
   * The conversation as it is; undefined: there is none. It may lag behind other nodes by as much as the feed
   * does, but never behind what this node has appended or observed.
   *
   * @param atLeast read the log when what is known ends before this seq
   * @throws StoreUnavailable, EventLogUnavailable
   */
  async state(conversationId: ConversationId, atLeast?: Seq): Promise<ConversationState | undefined> {
    const known = this.knownState(conversationId, atLeast);
    if (known !== undefined) return known;
    const fetched = await this.conversations.fetch(conversationId);
    if (atLeast === undefined || (fetched.state?.head ?? -1) >= atLeast) return fetched.state;
    // The read that was under way, and was joined, may have begun before that seq was appended.
    return (await this.conversations.refresh(conversationId, fetched)).warm.state;
  }

  /** What {@link state} answers, when it need not read the log for it. */
  knownState(conversationId: ConversationId, atLeast?: Seq): ConversationState | undefined {
    const known = this.conversations.peek(conversationId)?.state;
    return known !== undefined && (atLeast === undefined || known.head >= atLeast) ? known : undefined;
  }

  /**
   * Tells of an event in the log, so that the states kept here follow what other nodes append. To be called
   * with the node's feed; events of this node, known ones and those of conversations not kept are welcome and
   * cost next to nothing, and an order other than the stream's costs a read.
   */
  observe(event: LogEvent): void {
    this.conversations.observe(event);
  }

  /** As {@link observe}, by somebody who knows only that there is an event: what is kept is read again before it is used. */
  hear(conversationId: ConversationId, seq: Seq): void {
    this.conversations.hear(conversationId, seq);
  }

  /** Takes no more commands, and resolves when those under way are settled and snapshots written. */
  async close(): Promise<void> {
    this.isClosed = true;
    if (this.size > 0) {
      await new Promise<void>((resolve) => {
        this.whenEmpty = resolve;
      });
    }
    await this.snapshots.drain();
  }

  /** The last of the shutdown's steps: sockets are drained and receipts flushed before, and stores close after. */
  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }

  /** Lanes with something in them; for metrics and specs. */
  get laneCount(): number {
    return this.lanes.size;
  }

  private add(lane: Lane, command: ConversationCommand, given: RequestContext | undefined): Promise<Outcome> {
    const step = beginStep(`command ${command.type}`, 'internal', given?.traceparent, {
      'parley.conversation': lane.id,
    });
    // The events stand behind the command in the trace, not behind the request.
    const context = step === undefined ? given : { ...given, traceparent: step.traceparent };
    const job = new Job(command, context, () => {
      step?.end();
      lane.size--;
      if (--this.size === 0) this.whenEmpty?.();
    });
    lane.size++;
    this.size++;
    lane.add(job);
    this.start(lane);
    return job.outcome;
  }

  /**
   * An idle lane begins at the end of this turn of the event loop. By then the callbacks of all sockets that had
   * something to read have run, and what they sent to one room goes into one append; a microtask would run after
   * the first of them. While an append is under way, its lane gathers by itself.
   */
  private start(lane: Lane): void {
    if (lane.isRunning) return;
    lane.isRunning = true;
    if (this.ready.push(lane) > 1) return;
    setImmediate(() => {
      this.runReady();
    });
  }

  private runReady(): void {
    const { ready } = this;
    this.ready = [];
    for (const lane of ready) void this.run(lane);
  }

  private async run(lane: Lane): Promise<void> {
    while (lane.isWaiting) await this.runBatch(lane, lane.take());
    lane.isRunning = false;
    this.removeEmpty(lane);
  }

  private async runBatch(lane: Lane, jobs: readonly Job[]): Promise<void> {
    try {
      const { lookups, rest } = await this.writer.write(lane.id, jobs);
      lane.putBack(rest);
      if (lookups.length > 0) void this.lookUp(lane, lookups);
    } catch (error) {
      this.logger.error({ err: error, conversationId: lane.id }, 'a batch of commands failed');
      for (const job of jobs) job.fail(error);
    }
  }

  /**
   * Asks for all keys of a batch at once. Answered commands go to the front of the lane, in their order, before so
   * much else is stored that the answers no longer reach back to the window.
   */
  private async lookUp(lane: Lane, lookups: Handed['lookups']): Promise<void> {
    const answered = await Promise.all(
      lookups.map(({ job, request }) => this.askIndex(lane.id, job, request)),
    );
    const jobs = lookups.map(({ job }) => job);
    lane.putBack(jobs.filter((_, n) => answered[n]));
    for (const [n, job] of jobs.entries()) if (answered[n] === false) job.settle(INDEX_UNAVAILABLE);
    if (lane.isWaiting) this.start(lane);
    else this.removeEmpty(lane);
  }

  /** True when the command carries the index's word from now on. */
  private async askIndex(id: ConversationId, job: Job, request: LookupRequest): Promise<boolean> {
    if (job.lookups++ >= LOOKUPS_PER_COMMAND_MAX || job.command.type !== 'SendMessage') return false;
    const index = await this.keys.ask(id, request);
    if (index === undefined) return false;
    job.command = { ...job.command, index };
    return true;
  }

  private removeEmpty(lane: Lane): void {
    if (lane.size === 0 && !lane.isRunning) this.lanes.delete(lane.id);
  }
}
