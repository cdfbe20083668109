import { Global, Module } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { Test } from '@nestjs/testing';
import { ApplicationModule } from '../../src/application/application.module';
import { Executor } from '../../src/application/executor';
import { EventLog } from '../../src/application/ports/event-log';
import { MessageIndex } from '../../src/application/ports/message-index';
import { ProjectionProgress } from '../../src/application/ports/projection-progress';
import {
  CursorReads,
  HistoryReads,
  InboxReads,
  type ConversationView,
  type HistoryPage,
  type HistoryQuery,
  type InboxHead,
  type InboxHeads,
  type InboxPage,
  type MembershipSpan,
  type MemberView,
  type MessageQuery,
  type MessageView,
  type ReceiptsView,
  type VersionsPage,
  type VersionsQuery,
} from '../../src/application/ports/read-models';
import { StoreUnavailable } from '../../src/application/ports/store-unavailable';
import { UserDirectory } from '../../src/application/ports/user-directory';
import { ApplicationSettings } from '../../src/application/settings';
import { FaultyEventLog } from '../../src/infrastructure/memory/faulty-event-log';
import { MemoryEventLog } from '../../src/infrastructure/memory/memory-event-log';
import { MemoryMessageIndex } from '../../src/infrastructure/memory/memory-message-index';
import { Clock } from '../../src/kernel/clock';
import { asMillis, asUserId, type ConversationId, type Seq, type UserId } from '../../src/kernel/ids';
import { FoldedInbox } from './folded-inbox';

/** The most members of a group: the application's own, so that specs see it used. */
export const TEST_MEMBERS_MAX = 100;

const ANYBODY = asUserId('01936f00-0000-7000-8000-0000000000ee');

/** Stands still until it is moved. */
export class SteppedClock extends Clock {
  millis = Date.parse('2026-11-22T10:00:00.000Z');
  now = () => asMillis(this.millis);
}

/** Everybody exists but those in `missing`. */
export class Users extends UserDirectory {
  readonly missing = new Set<UserId>();
  isDown = false;
  asked = 0;

  existing(ids: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    this.asked++;
    if (this.isDown) return Promise.reject(new StoreUnavailable('down'));
    return Promise.resolve(new Set(ids.filter((id) => !this.missing.has(id))));
  }
}

/** The inbox as a plain fold of the log; its views are empty but for what queries decide by. */
export class Inbox extends InboxReads {
  readonly folded: FoldedInbox;

  constructor(log: MemoryEventLog) {
    super();
    this.folded = new FoldedInbox(log);
  }

  async page(_userId: UserId, { cursor }: { cursor?: string }): Promise<InboxPage | 'bad_cursor'> {
    await this.folded.heads(ANYBODY);
    return cursor === 'forged' ? 'bad_cursor' : { items: [], hasMore: false };
  }

  async conversation(userId: UserId, id: ConversationId): Promise<ConversationView | undefined> {
    const head = await this.head(userId, id);
    return head?.spans.at(-1)?.to === undefined ? (await this.conversations(userId, [id]))[0] : undefined;
  }

  conversations(userId: UserId, ids: readonly ConversationId[]): Promise<readonly ConversationView[]> {
    return this.folded.conversations(userId, ids);
  }

  heads(userId: UserId): Promise<InboxHeads> {
    return this.folded.heads(userId);
  }

  head(userId: UserId, id: ConversationId): Promise<InboxHead | undefined> {
    return this.folded.head(userId, id);
  }

  members(): Promise<{ items: readonly MemberView[]; hasMore: boolean }> {
    return Promise.resolve({ items: [], hasMore: false });
  }
}

/** Remembers what it was asked; has the messages it is given. */
export class History extends HistoryReads {
  readonly queries: HistoryQuery[] = [];
  /** What was visible to those who asked for one message, or for its versions. */
  readonly asked: (readonly MembershipSpan[])[] = [];
  readonly hidden: string[] = [];
  isDown = false;

  page(query: HistoryQuery): Promise<HistoryPage> {
    this.queries.push(query);
    return this.isDown
      ? Promise.reject(new StoreUnavailable('down'))
      : Promise.resolve({ items: [], hasMore: false });
  }

  message({ conversationId, seq, visible }: MessageQuery): Promise<MessageView | undefined> {
    this.asked.push(visible);
    return Promise.resolve({ conversationId, seq } as MessageView);
  }

  versions({ seq, visible }: VersionsQuery): Promise<VersionsPage | undefined> {
    this.asked.push(visible);
    const first = { version: 1, content: null, at: asMillis(0), seq };
    return Promise.resolve({ items: [first], hasMore: false });
  }

  hide(userId: UserId, conversationId: ConversationId, seq: Seq): Promise<void> {
    if (this.isDown) return Promise.reject(new StoreUnavailable('down'));
    this.hidden.push(`${userId}/${conversationId}/${seq}`);
    return Promise.resolve();
  }
}

export class Cursors extends CursorReads {
  view: ReceiptsView = { delivered: [], read: [] };
  receipts(): Promise<ReceiptsView> {
    return Promise.resolve(this.view);
  }
}

export class Progress extends ProjectionProgress {
  readonly waits: Seq[] = [];
  arrives = true;
  /** What happens meanwhile. */
  meanwhile: () => Promise<void> = () => Promise.resolve();

  waitForPosition(): Promise<boolean> {
    return Promise.resolve(this.arrives);
  }

  disbelieve(): void {
    throw new Error('nothing here syncs');
  }

  async waitForSeq(_id: ConversationId, seq: Seq): Promise<boolean> {
    this.waits.push(seq);
    await this.meanwhile();
    return this.arrives;
  }
}

/** The application as the composition root wires it, over stores in memory. */
export async function startApplication() {
  const memory = new MemoryEventLog();
  const log = new FaultyEventLog(memory);
  const users = new Users();
  const inbox = new Inbox(memory);
  const [history, cursors, progress, clock] = [
    new History(),
    new Cursors(),
    new Progress(),
    new SteppedClock(),
  ];
  const providers = [
    { provide: EventLog, useValue: log },
    { provide: MessageIndex, useValue: new MemoryMessageIndex(memory) },
    { provide: Clock, useValue: clock },
    { provide: UserDirectory, useValue: users },
    { provide: InboxReads, useValue: inbox },
    { provide: HistoryReads, useValue: history },
    { provide: CursorReads, useValue: cursors },
    { provide: ProjectionProgress, useValue: progress },
    { provide: ApplicationSettings, useValue: { editWindowMs: 300_000, membersMax: TEST_MEMBERS_MAX } },
  ];

  @Global()
  @Module({ providers, exports: providers })
  class Ports {}

  const context = await Test.createTestingModule({ imports: [Ports, ApplicationModule] }).compile();
  await context.init();
  return {
    ...{ memory, log, users, inbox, history, cursors, progress, clock, context },
    commands: context.get(CommandBus),
    queries: context.get(QueryBus),
    executor: context.get(Executor),
  };
}

export type TestApplication = Awaited<ReturnType<typeof startApplication>>;
