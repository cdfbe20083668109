import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { logOf, steps, userNamed } from '../../../test/support/arbitrary-conversations';
import { createTestDatabase, type TestDatabase } from '../../../test/support/postgres';
import { project } from '../../../test/support/projected';
import { WrittenConversation } from '../../../test/support/written-conversation';
import { storableJson, storableText } from '../../../projections/storable';
import type { MessageView } from '../../application/ports/read-models';
import type { Recorded } from '../../domain/conversation/events';
import { mayRead, visibleRanges } from '../../domain/conversation/visibility';
import { asSeq, type ConversationId, type Seq, type UserId } from '../../kernel/ids';
import { PostgresHistoryReads } from './history-reads';
import { PostgresInboxReads } from './inbox-reads';

const PEOPLE = ['ann', 'bob', 'cid', 'dan', 'eve'].map(userNamed);
const [ann, bob] = PEOPLE as [UserId, UserId];
/** Messages, what is made of them, people who come and go, and now and then another setting: much of it at once. */
const WHAT = [0, 0, 7, 7, 8, 9, 9, 13, 13, 13, 0, 7, 9, 13, 18];
const busySteps = steps(100).map((script) =>
  script.map((step) => ({ ...step, conversation: 0, what: WHAT[step.what % WHAT.length] ?? 0 })),
);
/** Thousands of questions to the database, on a machine that may be busy. */
const RUN_MS_MAX = 120_000;

let db: TestDatabase;
let history: PostgresHistoryReads;
let inbox: PostgresInboxReads;
beforeAll(async () => {
  db = await createTestDatabase();
  history = new PostgresHistoryReads(db.database);
  inbox = new PostgresInboxReads(db.database);
});
afterAll(() => db.drop());

interface Seen {
  readonly seq: number;
  content: unknown;
  version: number;
  editedAt: number | undefined;
  deletedAt: number | undefined;
  /** `emoji userId`, those who react, in the order of their last change. */
  reactions: string[];
  readonly versions: { version: number; content: unknown; seq: number }[];
}

/** The events of one conversation that a person may read, as seqs that lie in no table: a plain walk over all. */
function readableSeqs(log: readonly Recorded[], userId: UserId): ReadonlySet<number> {
  const seqs = new Set<number>();
  let isMember = false;
  let isShared = false;
  let lastTime = -1;
  for (const { seq, event } of log) {
    const wasMember = isMember;
    if (event.type === 'ConversationStarted') isMember = event.memberIds.includes(userId);
    if (event.type === 'MembershipChanged' && event.userId === userId) {
      if (event.change === 'joined') isMember = true;
      if (event.change === 'left' || event.change === 'removed') isMember = false;
    }
    if (event.type === 'ConversationChanged' && event.settings?.historyVisibility !== undefined) {
      isShared = event.settings.historyVisibility === 'shared';
    }
    if (!wasMember && !isMember) continue;
    seqs.add(seq);
    lastTime = seq;
  }
  if (isShared) for (let seq = 0; seq <= lastTime; seq++) seqs.add(seq);
  return seqs;
}

/** What one who got exactly the readable events has on the screen, and deletions on top. */
function seenIn(log: readonly Recorded[], readable: ReadonlySet<number>): Seen[] {
  const messages = new Map<number, Seen>();
  for (const { seq, at, event } of log) {
    if (event.type === 'MessageDeleted') {
      const message = messages.get(event.target);
      if (message !== undefined) message.deletedAt ??= at;
    }
    if (!readable.has(seq)) continue;
    if (event.type === 'MessageSent') {
      const { content } = event;
      const first = { version: 1, content, seq };
      const changes = { version: 1, editedAt: undefined, deletedAt: undefined };
      messages.set(seq, { seq, content, ...changes, reactions: [], versions: [first] });
    }
    if (event.type === 'MessageEdited') {
      const message = messages.get(event.target);
      if (message === undefined) continue;
      Object.assign(message, { content: event.content, version: event.version, editedAt: at });
      message.versions.push({ version: event.version, content: event.content, seq });
    }
    if (event.type === 'ReactionChanged') {
      const message = messages.get(event.target);
      if (message === undefined) continue;
      const key = `${storableText(event.emoji)} ${event.by}`;
      message.reactions = message.reactions.filter((other) => other !== key);
      if (event.change === 'added') message.reactions.push(key);
    }
  }
  return [...messages.values()].map((message) => {
    const isGone = message.deletedAt !== undefined;
    const stored = (content: unknown): unknown => (isGone ? null : JSON.parse(storableJson(content)));
    return {
      ...message,
      content: stored(message.content),
      reactions: isGone ? [] : [...message.reactions].sort(),
      versions: message.versions.map((version) => ({ ...version, content: stored(version.content) })),
    };
  });
}

const asSeen = ({ seq, content, version, editedAt, deletedAt, reactions }: MessageView) => ({
  ...{ seq, content, version, editedAt, deletedAt },
  reactions: reactions.flatMap(({ emoji, userIds }) => userIds.map((by) => `${emoji} ${by}`)).sort(),
});
const withoutVersions = ({ seq, content, version, editedAt, deletedAt, reactions }: Seen) => ({
  ...{ seq, content, version, editedAt, deletedAt, reactions },
});

async function compare(id: ConversationId, log: readonly Recorded[], userId: UserId): Promise<void> {
  const readable = readableSeqs(log, userId);
  const expected = seenIn(log, readable);
  const head = await inbox.head(userId, id);
  const visible = visibleRanges(head?.spans ?? [], head?.historyVisibility ?? 'joined');
  for (const { seq } of log) expect([seq, mayRead(visible, seq)]).toEqual([seq, readable.has(seq)]);
  const at = { userId, conversationId: id, visible };
  const page = await history.page({ ...at, limit: 200 });
  expect(page.items.map(asSeen)).toEqual(expected.map(withoutVersions));
  for (const message of expected) {
    const one = await history.message({ ...at, seq: asSeq(message.seq) });
    expect(one === undefined ? undefined : asSeen(one)).toEqual(withoutVersions(message));
    const versions = await history.versions({ ...at, seq: asSeq(message.seq), limit: 200 });
    expect(versions?.items.map(({ version, content, seq }) => ({ version, content, seq }))).toEqual(
      message.versions,
    );
  }
  const last = (await inbox.conversation(userId, id))?.lastMessage;
  if (last !== undefined) {
    const shown = expected.at(-1);
    expect(last === null ? undefined : asSeen(last)).toEqual(shown && withoutVersions(shown));
  }
}

describe('what somebody reads of their times', () => {
  it(
    'is what the events of these times make of it, and nothing that was made of it outside of them',
    async () => {
      await fc.assert(
        fc.asyncProperty(busySteps, async (script) => {
          const log = logOf(script, randomUUID);
          await project(db.database, log);
          for (const id of new Set(log.map(({ conversationId }) => conversationId))) {
            const own = log.filter(({ conversationId }) => conversationId === id);
            for (const userId of PEOPLE) await compare(id, own, userId);
          }
        }),
        { numRuns: 25 },
      );
    },
    RUN_MS_MAX,
  );

  const edit = (conversation: WrittenConversation, target: Seq, version: number): Seq =>
    conversation.add({
      type: 'MessageEdited',
      by: ann,
      target,
      content: { type: 'text', body: `version ${version}` },
      version,
    });
  const membership = (conversation: WrittenConversation, change: 'removed' | 'joined'): Seq =>
    conversation.add({ type: 'MembershipChanged', by: ann, userId: bob, change });

  it('stays as it was when they were removed, is whole again for none but members, and deletions win', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const target = conversation.send(ann);
    const react = (change: 'added' | 'removed'): Seq =>
      conversation.add({ type: 'ReactionChanged', by: ann, target, emoji: '👍', change });
    edit(conversation, target, 2);
    react('added');
    membership(conversation, 'removed');
    edit(conversation, target, 3);
    react('removed');
    await project(db.database, conversation.events);
    const read = async (userId: UserId): Promise<readonly unknown[]> => {
      const head = await inbox.head(userId, conversation.id);
      const visible = visibleRanges(head?.spans ?? [], 'joined');
      const at = { userId, conversationId: conversation.id, seq: target, visible };
      const message = await history.message(at);
      const versions = await history.versions({ ...at, limit: 9 });
      const body = message?.content?.['body'] ?? null;
      return [body, message?.reactions.length, versions?.items.map(({ version }) => version)];
    };
    expect(await read(ann)).toEqual(['version 3', 0, [1, 2, 3]]);
    expect(await read(bob)).toEqual(['version 2', 1, [1, 2]]);
    // Back again, what happened meanwhile stays unseen; what happens from now on does not.
    membership(conversation, 'joined');
    await project(db.database, conversation.events);
    expect(await read(bob)).toEqual(['version 2', 1, [1, 2]]);
    edit(conversation, target, 4);
    await project(db.database, conversation.events);
    expect(await read(bob)).toEqual(['version 4', 1, [1, 2, 4]]);
    membership(conversation, 'removed');
    conversation.add({ type: 'MessageDeleted', by: ann, target });
    await project(db.database, conversation.events);
    expect(await read(bob)).toEqual([null, 0, [1, 2, 4]]);
  });

  it('gives versions in pages, and none of what is hidden', async () => {
    const conversation = new WrittenConversation([ann, bob]);
    const target = conversation.send(ann);
    const edits = [2, 3, 4].map((version) => edit(conversation, target, version));
    await project(db.database, conversation.events);
    const at = { userId: ann, conversationId: conversation.id, seq: target, limit: 2 };
    const visible = [{ from: asSeq(0), to: undefined }];
    const versions = async (after?: Seq): Promise<unknown> => {
      const page = await history.versions({ ...at, visible, ...(after === undefined ? {} : { after }) });
      return page && [page.items.map(({ version }) => version), page.hasMore];
    };
    expect(await versions()).toEqual([[1, 2], true]);
    expect(await versions(edits[0])).toEqual([[3, 4], false]);
    expect(await versions(edits[2])).toEqual([[], false]);
    await history.hide(ann, conversation.id, target);
    expect(await versions()).toBeUndefined();
    expect(await versions(edits[0])).toEqual([[], false]);
  });
});
