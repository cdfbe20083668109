import fc from 'fast-check';
import {
  Author,
  conversationOf,
  DeliveryWorld,
  userOf,
  type RecordingConnection,
} from '../../test/support/delivery';
import { replayable } from '../../test/support/replayable';
import { BreakableLog, had, visibleTo } from '../../test/support/sync';
import type { ConversationId } from '../kernel/ids';

const ONE = conversationOf(1);
const TWO = conversationOf(2);

describe('SyncService under races', () => {
  it('loses and repeats nothing, from any cursor, while others write and the read models lag', async () => {
    const step = fc.record({
      act: fc.constantFrom('say', 'say', 'say', 'add', 'remove', 'read', 'wait', 'project', 'sync'),
      user: fc.integer({ min: 1, max: 3 }),
      conversation: fc.integer({ min: 0, max: 1 }),
      mode: fc.constantFrom('live', 'live', 'stuck', 'down'),
      cursor: fc.integer({ min: -1, max: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 50 }),
        fc.constantFrom('joined', 'shared'),
        fc.integer({ min: 0, max: 3 }),
        async (steps, historyVisibility, turns) => {
          const own = new BreakableLog();
          const node = new DeliveryWorld(own);
          own.beforeRead = own.afterAppend = async () => {
            for (let n = 0; n < turns; n++) await new Promise((resolve) => setImmediate(resolve));
          };
          const ids = [ONE, TWO];
          const authors = ids.map((id) => new Author(node, id));
          await node.feed.start();
          for (const author of authors) await author.start([0, 1], { historyVisibility });
          const running: Promise<unknown>[] = [];
          const left = new Set<string>();
          const syncs: { socket: RecordingConnection; cursors: Record<string, number> }[] = [];
          for (const [n, { act, user, conversation, mode, cursor }] of steps.entries()) {
            const author = authors[conversation] as Author;
            if (act === 'say') running.push(author.say(0), author.say(user));
            const both = `${conversation}/${user}`;
            // Whoever comes back to a shared conversation may read what was said meanwhile, and asks for it then.
            const mayAdd = historyVisibility === 'joined' || !left.has(both);
            if (act === 'add' && mayAdd) running.push(author.add(0, user));
            if (act === 'remove') {
              left.add(both);
              running.push(author.remove(0, user));
            }
            if (act === 'read') running.push(author.read(0, 2));
            if (act === 'wait') await Promise.all(running);
            if (act === 'project') await node.inbox.catchUp();
            if (act !== 'sync') continue;
            node.inbox.mode = mode;
            const socket = node.connect(userOf(user), `device-${n}`);
            const events = await node.recorded(author.id);
            // A cursor of a device is at something that it was shown.
            const seen = visibleTo(events, socket.userId).filter((seq) => seq <= cursor);
            const last = seen.at(-1);
            const cursors = last === undefined ? {} : { [author.id]: last };
            syncs.push({ socket, cursors });
            running.push(
              node.sync.sync(socket, { cursors }, undefined).then((refusal) => {
                expect(refusal).toBeUndefined();
              }),
            );
          }
          await Promise.all(running);
          await node.settle();
          for (const { socket, cursors } of syncs) {
            for (const id of Object.keys(cursors) as ConversationId[]) {
              const visible = visibleTo(await node.recorded(id), socket.userId);
              const missed = visible.filter((seq) => seq > (cursors[id] as number));
              expect(had(socket, id).filter((seq) => seq > (cursors[id] as number))).toEqual(missed);
              expect(had(socket, id).every((seq) => visible.includes(seq))).toBe(true);
              expect(socket.seqsOf(id)).toEqual([...socket.seqsOf(id)].sort((a, b) => a - b));
            }
          }
          await node.stop();
        },
      ),
      replayable(60),
    );
  });
});
