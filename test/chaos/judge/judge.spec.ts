import { factOf, type Entry, type LoggedEvent } from '../journal';
import {
  ANN,
  at,
  BOB,
  change,
  CID,
  evidenceOf,
  honest,
  OTHER,
  ROOM,
  seen,
  story,
  type Forgery,
} from './forgery';
import { judge } from './judge';

const found = (forge: (forgery: Forgery) => void): number[] => {
  const forgery = honest();
  forge(forgery);
  return [...new Set(judge(evidenceOf(forgery)).violations.map(({ invariant }) => invariant))].sort(
    (a, b) => a - b,
  );
};

describe('the judge of chaos runs', () => {
  it('finds nothing in an honest run, and has looked at all of it', () => {
    const { violations, counted } = judge(evidenceOf(honest()));
    expect(violations).toEqual([]);
    expect(counted).toEqual({
      conversations: 1,
      events: 10,
      messages: 5,
      acknowledged: 5,
      sightings: 34,
      connections: 7,
      views: 3,
    });
  });

  it.each<[number, string, (forgery: Forgery) => void]>([
    [
      1,
      'an acknowledged message is not in the log',
      ({ ann }) => {
        change(ann, at(ann, 'acked', 0), { key: 'key-x' });
        ann.entries.splice(at(ann, 'sent', 0), 1);
      },
    ],
    [
      1,
      'an acknowledged message stands elsewhere',
      ({ ann }) => {
        change(ann, at(ann, 'acked', 0), { seq: 2 });
      },
    ],
    [
      1,
      'an acknowledged message has another ordinal',
      ({ ann }) => {
        change(ann, at(ann, 'acked', 0), { ordinal: 4 });
      },
    ],
    [
      1,
      'a device never gets the last event',
      ({ bob }) => {
        bob.entries.pop();
      },
    ],
    [
      2,
      'an event is shown that the log does not have',
      ({ bob, log }) => {
        bob.entries.push(seen({ ...(log[9] as LoggedEvent), seq: 10 }, 'push', 2));
      },
    ],
    [
      2,
      'an event is shown with another content',
      ({ sdk }) => {
        change(sdk, sdk.entries.length - 1, { fact: 'at-9 by=somebody' });
      },
    ],
    [
      2,
      'an event is shown as another one',
      ({ sdk }) => {
        change(sdk, sdk.entries.length - 1, { event: 'message.deleted' });
      },
    ],
    [
      3,
      'pushes come in another order',
      ({ bob }) => {
        bob.entries.push(...bob.entries.splice(-2, 1));
      },
    ],
    [
      4,
      'the log has a hole',
      ({ log }) => {
        for (const [n, event] of log.entries()) if (n === 9) log[n] = { ...event, seq: 10 };
      },
    ],
    [
      4,
      'an ordinal is used twice',
      ({ log }) => {
        log[9] = { ...(log[9] as LoggedEvent), data: { ...log[9]?.data, ordinal: 4 } };
      },
    ],
    [
      5,
      'a message is stored twice',
      ({ log }) => {
        log[9] = { ...(log[9] as LoggedEvent), data: { ...log[9]?.data, clientMessageId: 'key-4' } };
      },
    ],
    [
      5,
      'a retry is acknowledged elsewhere',
      ({ ann }) => {
        ann.entries.push({
          type: 'acked',
          socket: 2,
          conversationId: ROOM,
          key: 'key-1',
          seq: 2,
          ordinal: 2,
        });
      },
    ],
    [
      6,
      'the SDK hands an event over twice',
      ({ sdk, log }) => {
        sdk.entries.push(seen(log[5] as LoggedEvent, 'push', 1));
      },
    ],
    [
      6,
      'a socket is pushed the same event twice',
      ({ bob, log }) => {
        bob.entries.push(seen(log[9] as LoggedEvent, 'push', 2));
      },
    ],
    [
      7,
      'two messages of one socket change places',
      ({ ann }) => {
        const [one, two] = [at(ann, 'sent', 0), at(ann, 'sent', 1)];
        change(ann, one, { key: 'key-2' });
        change(ann, two, { key: 'key-1' });
      },
    ],
    [
      8,
      'a read does not have what was acknowledged',
      ({ ann }) => {
        change(ann, at(ann, 'readBack', 0), { found: false });
      },
    ],
    [
      9,
      'a read cursor goes back',
      ({ log }) => {
        log[6] = {
          ...(log[6] as LoggedEvent),
          type: 'MessageRead',
          data: { by: BOB, cursors: [{ userId: BOB, upTo: 0 }], audience: 'everyone' },
        };
      },
    ],
    [
      9,
      'a cursor lies beyond the head',
      ({ log }) => {
        log[6] = {
          ...(log[6] as LoggedEvent),
          data: { by: BOB, cursors: [{ userId: BOB, deviceId: 'b', upTo: 6 }], audience: 'everyone' },
        };
      },
    ],
    [
      10,
      'a sync leaves an event out that a later one brings',
      ({ bob }) => {
        const [gone] = bob.entries.splice(at(bob, 'page', 0) + 1, 1);
        bob.entries.push(
          { type: 'ready', socket: 3 },
          { type: 'syncAsked', socket: 3, cursors: { [ROOM]: 3 } },
          gone as Entry,
        );
      },
    ],
    [
      10,
      'a sync repeats what lies before the cursor',
      ({ bob, log }) => {
        bob.entries.splice(at(bob, 'page', 0) + 1, 0, seen(log[2] as LoggedEvent, 'page', 2));
      },
    ],
    [
      11,
      'the seam between sync and live loses an event',
      ({ bob }) => {
        const place = bob.entries.length - 2;
        const [gone] = bob.entries.splice(place, 1);
        bob.entries.push(
          { type: 'ready', socket: 3 },
          { type: 'syncAsked', socket: 3, cursors: { [ROOM]: 3 } },
          gone as Entry,
        );
      },
    ],
    [
      12,
      'an unread count has drifted',
      ({ views }) => {
        Object.assign(views[1] ?? {}, { unreadCount: 5 });
      },
    ],
    [
      13,
      'a read model has another cursor',
      ({ views }) => {
        Object.assign(views[1] ?? {}, { readUpTo: 2 });
      },
    ],
    [
      13,
      'a read model lacks a message',
      ({ views }) => {
        Object.assign(views[1] ?? {}, { history: [1, 2, 5, 8] });
      },
    ],
    [
      15,
      'somebody removed is shown what came after',
      ({ cid, log }) => {
        cid.entries.push(seen(log[8] as LoggedEvent, 'push', 2));
      },
    ],
    [
      15,
      'somebody is shown what came before they joined',
      ({ cid, log }) => {
        cid.entries.push({ type: 'ready', socket: 3 }, seen(log[1] as LoggedEvent, 'page', 3));
      },
    ],
    [
      15,
      'somebody removed goes on writing',
      ({ log }) => {
        log[9] = { ...(log[9] as LoggedEvent), data: { ...log[9]?.data, by: CID } };
      },
    ],
    [
      15,
      'REST answers somebody removed',
      ({ views }) => {
        Object.assign(views[2] ?? {}, { status: 200 });
      },
    ],
    [
      16,
      'a text for another conversation is shown',
      ({ sdk }) => {
        const last = sdk.entries.length - 1;
        const fact = factOf('at-9', story(OTHER)[9]?.data ?? {});
        change(sdk, last, { fact });
      },
    ],
    [
      21,
      'a read model stays behind',
      ({ views }) => {
        Object.assign(views[1] ?? {}, { headSeq: 8 });
      },
    ],
    [
      22,
      'a message never gets an outcome',
      ({ ann }) => {
        ann.entries.push({ type: 'sent', socket: 2, conversationId: ROOM, key: 'key-9' });
      },
    ],
  ])('finds a breach of invariant %i: %s', (invariant, _what, forge) => {
    expect(found(forge)).toContain(invariant);
  });

  it('does not take for a fault what the protocol allows', () => {
    // A sync of the newest events only; older ones are left for scrolling back.
    const limited = ({ bob }: Forgery): void => {
      const page = at(bob, 'page', 0);
      change(bob, page, { limited: true, from: 5 });
      bob.entries.splice(page + 1, 1);
    };
    // A store keeps the keys of an object in whatever order it likes.
    const turned = ({ sdk, log }: Forgery): void => {
      const { content, ...data } = log[9]?.data as { content: { type: string; body: string } };
      const other = { ...data, content: { body: content.body, type: content.type } };
      change(sdk, sdk.entries.length - 1, { fact: factOf('at-9', other) });
    };
    // Pushes that were dropped for a slow reader come by the sync after `resync`.
    const resync = ({ bob, log }: Forgery): void => {
      bob.entries.splice(-2, 1);
      bob.entries.push({ type: 'resync', socket: 2, conversationIds: [ROOM] });
      bob.entries.push({ type: 'syncAsked', socket: 2, cursors: { [ROOM]: 7 } });
      const page = { conversationId: ROOM, from: 8, headSeq: 9, limited: false, removed: false };
      bob.entries.push({ type: 'page', socket: 2, ...page });
      for (const n of [8, 9]) bob.entries.push(seen(log[n] as LoggedEvent, 'page', 2));
      bob.entries.push({ type: 'synced', socket: 2 });
    };
    // A message refused for the moment may be overtaken.
    const overtaken = ({ ann }: Forgery): void => {
      const [second] = ann.entries.splice(at(ann, 'sent', 1), 1);
      ann.entries.splice(at(ann, 'sent', 0), 0, second as Entry);
      ann.entries.push({ type: 'refused', key: 'key-2', code: 'unavailable', retryable: true });
    };
    for (const allowed of [limited, turned, resync, overtaken]) expect(found(allowed)).toEqual([]);
  });

  it('misses what was said before somebody new was thrown out and taken in again', () => {
    const breaches = found((forgery) => {
      const { log, bob } = forgery;
      const out = { by: ANN, userId: BOB, change: 'removed' };
      log.splice(8, 2, { ...(log[7] as LoggedEvent), seq: 8, data: out });
      log.push({ ...(log[7] as LoggedEvent), seq: 9, data: { ...out, change: 'joined' } });
      const entries: Entry[] = [
        { type: 'ready', socket: 1 },
        { type: 'syncAsked', socket: 1, cursors: {} },
        { type: 'synced', socket: 1 },
        seen(log[9] as LoggedEvent, 'push', 1),
      ];
      bob.entries.splice(0, bob.entries.length, ...entries);
      Object.assign(forgery, { ann: { ...forgery.ann, entries: [], isCaughtUp: false }, views: [] });
      Object.assign(forgery.sdk, { entries: [], isCaughtUp: false });
    });
    expect(breaches).toEqual([1, 11]);
  });
});
