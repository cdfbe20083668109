import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { createTestDatabase, type TestDatabase } from '../test/support/postgres';
import { WrittenConversation } from '../test/support/written-conversation';
import { project } from '../test/support/projected';
import { logOf, steps, userNamed } from '../test/support/arbitrary-conversations';
import type { Recorded } from '../src/domain/conversation/events';
import { pack, userTagOf } from '../src/domain/conversation/packed-cursors';
import { asUserId, type ConversationId, type Seq } from '../src/kernel/ids';
import { tableFacts } from './table-facts';
import { ConversationFold } from './verify/conversation-fold';
import { differencesBetween } from './verify/facts';

/** Hundreds of batches each, on a machine that may be busy. */
const RUN_MS_MAX = 120_000;

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

const apply = (events: readonly Recorded[]): Promise<void> => project(db.database, events);

async function differences(log: readonly Recorded[]): Promise<readonly string[]> {
  const folds = new Map<ConversationId, ConversationFold>();
  for (const recorded of log) {
    const fold = folds.get(recorded.conversationId) ?? new ConversationFold();
    folds.set(recorded.conversationId, fold);
    fold.add(recorded);
  }
  const all: string[] = [];
  for (const [id, fold] of folds)
    all.push(...differencesBetween(fold.facts(), await tableFacts(db.database, id)));
  return all;
}

/** The log in batches of these sizes, over and over. */
function* cut(log: readonly Recorded[], sizes: readonly number[]): Generator<readonly Recorded[]> {
  for (let begin = 0, n = 0; begin < log.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    yield log.slice(begin, begin + size);
    begin += size;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe('the read models', () => {
  it(
    'equal a plain fold of the log, however it is cut into batches',
    async () => {
      await fc.assert(
        fc.asyncProperty(steps(120), sizes, async (script, batches) => {
          const log = logOf(script, randomUUID);
          for (const batch of cut(log, batches)) await apply(batch);
          expect(await differences(log)).toEqual([]);
        }),
        { numRuns: 60 },
      );
    },
    RUN_MS_MAX,
  );

  it(
    'do not change when batches are applied again, at once or after later ones',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          steps(80),
          sizes,
          fc.array(fc.nat(30), { maxLength: 8 }),
          async (script, batches, again) => {
            const log = logOf(script, randomUUID);
            const applied: (readonly Recorded[])[] = [];
            for (const batch of cut(log, batches)) {
              await apply(batch);
              applied.push(batch);
              const earlier = applied[(again[applied.length % (again.length + 1)] ?? 0) % applied.length];
              await apply(earlier ?? batch);
            }
            expect(await differences(log)).toEqual([]);
            // The latest first: what an old batch undoes is not done again by a later one.
            for (const batch of applied.toReversed()) await apply(batch);
            expect(await differences(log)).toEqual([]);
          },
        ),
        { numRuns: 80 },
      );
    },
    RUN_MS_MAX,
  );

  it('give a packed cursor to the member of its time, not to one before or after with the same tag', async () => {
    const ann = userNamed('ann');
    const early = asUserId('019aa000-0000-7000-8000-00000abcdef0');
    const late = asUserId('019aa000-0000-7000-8000-11111abcdef0');
    for (const size of [1, 100]) {
      const conversation = new WrittenConversation([ann, early]);
      const packedRead = (upTo: Seq): void => {
        const entries = [{ user: userTagOf(early) ?? 0, upTo }];
        const all = { by: ann, cursors: [], audience: 'concerned' } as const;
        conversation.add({ type: 'MessageRead', ...all, packed: pack(entries) });
        const packed = pack(entries.map((entry) => ({ ...entry, device: 7 })));
        conversation.add({ type: 'MessageDelivered', ...all, packed });
      };
      packedRead(conversation.send(ann));
      conversation.add({ type: 'MembershipChanged', by: early, userId: early, change: 'left' });
      conversation.add({ type: 'MembershipChanged', by: ann, userId: late, change: 'joined' });
      packedRead(conversation.send(ann));
      for (const batch of cut(conversation.events, [size])) await apply(batch);
      expect(await differences(conversation.events)).toEqual([]);
      const facts = await tableFacts(db.database, conversation.id);
      expect([facts.get(`read ${early}`), facts.get(`read ${late}`)]).toEqual(['1', '6']);
      expect([facts.get(`delivered ${early}/~000007`), facts.get(`delivered ${late}/~000007`)]).toEqual([
        '1',
        '6',
      ]);
    }
  });

  it('keep the cursors of two times of membership apart, also within one batch', async () => {
    const [ann, bob] = [userNamed('ann'), userNamed('bob')];
    for (const size of [1, 100]) {
      const conversation = new WrittenConversation([ann, bob]);
      const read = (upTo: Seq): void => {
        const cursors = [{ userId: bob, upTo }];
        conversation.add({ type: 'MessageRead', by: bob, cursors, audience: 'everyone' });
      };
      const [first, second] = [conversation.send(ann), conversation.send(ann)];
      read(second);
      conversation.add({ type: 'MembershipChanged', by: bob, userId: bob, change: 'left' });
      conversation.add({ type: 'MembershipChanged', by: ann, userId: bob, change: 'joined' });
      read(first);
      for (const batch of cut(conversation.events, [size])) await apply(batch);
      expect(await differences(conversation.events)).toEqual([]);
      const spans = await db.database.query(
        'SELECT read_up_to FROM read.inbox_members WHERE conversation_id = $1 AND user_id = $2 ORDER BY from_seq',
        [conversation.id, bob],
      );
      expect(spans).toEqual([{ read_up_to: String(second) }, { read_up_to: String(first) }]);
    }
  });

  it('show the last of two edits of one batch, and bring nothing deleted back', async () => {
    const ann = userNamed('ann');
    for (const size of [1, 100]) {
      const conversation = new WrittenConversation([ann]);
      const [kept, deleted] = [conversation.send(ann), conversation.send(ann)];
      const edit = (target: Seq, version: number): Seq =>
        conversation.add({
          type: 'MessageEdited',
          by: ann,
          target,
          content: { type: 'text', body: `version ${version}` },
          version,
        });
      edit(kept, 2);
      edit(kept, 3);
      conversation.add({ type: 'MessageDeleted', by: ann, target: deleted });
      edit(deleted, 2);
      const batches = [...cut(conversation.events, [size])];
      for (const batch of [...batches, ...batches.toReversed()]) await apply(batch);
      expect(await differences(conversation.events)).toEqual([]);
    }
  });
});
