import type { EventFrame } from '../../src/protocol/events';
import type { Person } from './person';
import { judge } from './verdict';

const event = (seq: number, name: string, data: object): EventFrame =>
  ({ event: name, data: { conversationId: 'c', seq, at: '', by: 'ann', ...data } }) as unknown as EventFrame;
const said = (seq: number, key: string): EventFrame =>
  event(seq, 'message.sent', { clientMessageId: key, ordinal: seq });

const LOG = [
  event(0, 'conversation.started', { memberIds: ['ann', 'bob'], kind: 'group' }),
  said(1, 'one'),
  event(2, 'membership.changed', { userId: 'bob', change: 'left' }),
  said(3, 'two'),
  event(4, 'message.read', { cursors: [] }),
];

function person(id: string, seqs: readonly number[], acknowledged: [string, number][] = []): Person {
  const names = [
    'conversation.started',
    'message.sent',
    'membership.changed',
    'message.sent',
    'message.read',
  ];
  const seen = seqs.map((seq) => ({ seq, event: names[seq] ?? '' }));
  return { nick: id, id, seen, acknowledged: new Map(acknowledged) } as unknown as Person;
}

describe('the verdict of the demo', () => {
  it('finds nothing when everybody saw what was meant for them', () => {
    const people = [person('ann', [0, 1, 2, 3], [['one', 1]]), person('bob', [0, 1, 2])];
    expect(judge(LOG, people)).toEqual({ lost: 0, doubled: 0, outOfOrder: 0, strangers: 0, details: [] });
  });

  it.each<[string, Person, object]>([
    ['a lost event', person('ann', [0, 1, 3]), { lost: 1 }],
    ['a lost removal', person('bob', [0, 1]), { lost: 1 }],
    ['a doubled event', person('ann', [0, 1, 1, 2, 3]), { doubled: 1 }],
    ['events out of order', person('ann', [0, 2, 1, 3]), { outOfOrder: 1 }],
    ['an event after the leaving', person('bob', [0, 1, 2, 3]), { strangers: 1 }],
    ['an acknowledged message that is not stored', person('ann', [0, 1, 2, 3], [['gone', 9]]), { lost: 1 }],
  ])('finds %s', (_name, one, expected) => {
    const verdict = judge(LOG, [one]);
    expect(verdict).toMatchObject(expected);
    expect(verdict.details).toHaveLength(1);
  });

  it('finds a message that is stored twice', () => {
    expect(judge([...LOG, said(5, 'one')], [])).toMatchObject({ doubled: 1 });
  });
});
