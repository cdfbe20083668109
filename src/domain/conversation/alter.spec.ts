import {
  ANNA,
  atSeq,
  BEN,
  CARA,
  CONVERSATION,
  directStarted,
  DORA,
  given,
  groupStarted,
  membership,
  sent,
  stateAfter,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asSeq, type UserId } from '../../kernel/ids';
import type { TargetMessage } from './commands';
import { evolve } from './evolve';
import type { ConversationEvent, MessageContent } from './events';
import { REACTIONS_MAX, VERSIONS_MAX } from './state';

const editWindowMs = 300_000;
const content: MessageContent = { type: 'text', body: 'better' };
const about = (by: UserId, seq: number): { target: TargetMessage['seq']; message: TargetMessage } => ({
  target: asSeq(seq),
  message: { seq: asSeq(seq), by, at: atSeq(seq) },
});
/** `target` holds no message. */
const aboutNothing = (seq: number) => ({ target: asSeq(seq), message: undefined });

const edit = (by: UserId, on: ReturnType<typeof about> | ReturnType<typeof aboutNothing>) =>
  ({ type: 'EditMessage', by, content, editWindowMs, ...on }) as const;
const erase = (by: UserId, on: ReturnType<typeof about> | ReturnType<typeof aboutNothing>) =>
  ({ type: 'DeleteMessage', by, ...on }) as const;
const react = (by: UserId, on: ReturnType<typeof about> | ReturnType<typeof aboutNothing>, isOn = true) =>
  ({ type: 'SetReaction', by, emoji: '👍', on: isOn, ...on }) as const;

const edited = (by: UserId, target: number, version: number) =>
  ({ type: 'MessageEdited', by, target: asSeq(target), content, version }) as const;
const deleted = (by: UserId, target: number) =>
  ({ type: 'MessageDeleted', by, target: asSeq(target) }) as const;
const reacted = (by: UserId, target: number, change: 'added' | 'removed' = 'added') =>
  ({ type: 'ReactionChanged', by, target: asSeq(target), emoji: '👍', change }) as const;

/** Seq 1: Ben's message. */
const talk = [groupStarted(), sent(BEN, 1)];
const joinedLater = [...talk, membership(ANNA, DORA, 'joined', 'member')];

describe('editing', () => {
  it('counts versions of a message from 2', () => {
    given(...talk)
      .when(edit(BEN, about(BEN, 1)))
      .then(edited(BEN, 1, 2));
    given(...talk, edited(BEN, 1, 2))
      .when(edit(BEN, about(BEN, 1)))
      .then(edited(BEN, 1, 3));
  });

  it('is for the sender alone', () => {
    given(...talk)
      .when(edit(ANNA, about(BEN, 1)))
      .refuses('forbidden');
    given(...talk)
      .when(edit(CARA, about(BEN, 1)))
      .refuses('forbidden');
  });

  it('is open until the window has passed, to the millisecond', () => {
    const command = edit(BEN, about(BEN, 1));
    const at = (afterMs: number) => ({ ...command, at: (atSeq(1) + afterMs) as ReturnType<typeof atSeq> });
    given(...talk)
      .when(at(editWindowMs))
      .then(edited(BEN, 1, 2));
    given(...talk)
      .when(at(editWindowMs + 1))
      .refuses('edit_window_closed');
  });

  it("is open when another node's clock was ahead", () => {
    given(...talk)
      .when({ ...edit(BEN, about(BEN, 1)), at: atSeq(0) })
      .then(edited(BEN, 1, 2));
  });

  it('needs a message that is there and not deleted', () => {
    given(...talk)
      .when(edit(BEN, aboutNothing(0)))
      .refuses('not_found');
    given(...talk)
      .when(edit(BEN, about(BEN, 2)))
      .refuses('not_found');
    given(...talk, deleted(BEN, 1))
      .when(edit(BEN, about(BEN, 1)))
      .refuses('conflict');
  });

  it('is refused while one blocks the other', () => {
    given(directStarted(), sent(ANNA, 1), membership(BEN, ANNA, 'blocked'))
      .when(edit(ANNA, about(ANNA, 1)))
      .refuses('blocked');
  });

  it('is refused to those who are no members', () => {
    given()
      .when(edit(BEN, about(BEN, 1)))
      .refuses('not_found');
    given(...talk)
      .when(edit(STRANGER, about(BEN, 1)))
      .refuses('not_found');
    given(...talk, membership(BEN, BEN, 'left'))
      .when(edit(BEN, about(BEN, 1)))
      .refuses('not_a_member');
  });

  it(`never gives a version twice, also after ${VERSIONS_MAX} other messages were edited`, () => {
    const before: ConversationEvent[] = [...talk, edited(BEN, 1, 2), edited(BEN, 1, 3)];
    const others = Array.from({ length: VERSIONS_MAX }, (_, index) => edited(BEN, index + 10, 2));
    const command = { ...edit(BEN, about(BEN, 1)), at: atSeq(1) };
    given(...before, ...others.slice(0, -1))
      .when(command)
      .then(edited(BEN, 1, 4));
    given(...before, ...others)
      .when(command)
      .then(edited(BEN, 1, 4));
    // The next to be forgotten had fewer versions: that must not lower what is assumed of the first.
    given(...before, ...others, edited(BEN, 9, 2))
      .when(command)
      .then(edited(BEN, 1, 4));
  });
});

describe('deleting for everyone', () => {
  it('is for the sender, at any time, and in groups for admins', () => {
    given(...talk)
      .when({ ...erase(BEN, about(BEN, 1)), at: atSeq(1_000_000) })
      .then(deleted(BEN, 1));
    given(...talk)
      .when(erase(ANNA, about(BEN, 1)))
      .then(deleted(ANNA, 1));
    given(...talk)
      .when(erase(CARA, about(BEN, 1)))
      .refuses('forbidden');
    given(...talk, membership(ANNA, CARA, 'roleChanged', 'admin'))
      .when(erase(CARA, about(BEN, 1)))
      .then(deleted(CARA, 1));
  });

  it('in a direct conversation is for the sender alone, also while blocked', () => {
    const direct = [directStarted(), sent(ANNA, 1)];
    given(...direct)
      .when(erase(BEN, about(ANNA, 1)))
      .refuses('forbidden');
    given(...direct, membership(BEN, ANNA, 'blocked'))
      .when(erase(ANNA, about(ANNA, 1)))
      .then(deleted(ANNA, 1));
  });

  it('a second time changes nothing', () => {
    given(...talk, deleted(ANNA, 1))
      .when(erase(BEN, about(BEN, 1)))
      .changesNothing();
  });

  it('needs a message, and a member who may see it', () => {
    given(...talk)
      .when(erase(BEN, aboutNothing(0)))
      .refuses('not_found');
    given(...talk)
      .when(erase(BEN, about(BEN, 2)))
      .refuses('not_found');
    given(...joinedLater, membership(ANNA, DORA, 'roleChanged', 'admin'))
      .when(erase(DORA, about(BEN, 1)))
      .refuses('not_found');
    given()
      .when(erase(BEN, about(BEN, 1)))
      .refuses('not_found');
    given(...talk)
      .when(erase(STRANGER, about(BEN, 1)))
      .refuses('not_found');
    given(...talk, membership(ANNA, BEN, 'removed'))
      .when(erase(BEN, about(BEN, 1)))
      .refuses('not_a_member');
  });

  it("is possible for one's own message of an earlier membership", () => {
    given(...talk, membership(BEN, BEN, 'left'), membership(ANNA, BEN, 'joined', 'member'))
      .when(erase(BEN, about(BEN, 1)))
      .then(deleted(BEN, 1));
  });
});

describe('reacting', () => {
  it('adds and takes back, once each', () => {
    const added = reacted(CARA, 1);
    given(...talk)
      .when(react(CARA, about(BEN, 1)))
      .then(added);
    given(...talk, added)
      .when(react(CARA, about(BEN, 1)))
      .changesNothing();
    given(...talk, added)
      .when(react(CARA, about(BEN, 1), false))
      .then(reacted(CARA, 1, 'removed'));
    given(...talk, added, reacted(CARA, 1, 'removed'))
      .when(react(CARA, about(BEN, 1), false))
      .changesNothing();
  });

  it("is each one's own, and each emoji's", () => {
    given(...talk, reacted(CARA, 1))
      .when(react(ANNA, about(BEN, 1)))
      .then(reacted(ANNA, 1));
    given(...talk, reacted(CARA, 1))
      .when({ ...react(CARA, about(BEN, 1)), emoji: 'a/b' })
      .then({ ...reacted(CARA, 1), emoji: 'a/b' });
  });

  it('records taking back what the state does not remember', () => {
    given(...talk)
      .when(react(CARA, about(BEN, 1), false))
      .then(reacted(CARA, 1, 'removed'));
  });

  it(`forgets the oldest of more than ${REACTIONS_MAX}, and then records it again`, () => {
    const others = Array.from({ length: REACTIONS_MAX }, (_, index) => ({
      ...reacted(ANNA, 1),
      emoji: `emoji-${index}`,
    }));
    given(...talk, reacted(CARA, 1), ...others.slice(0, -1))
      .when(react(CARA, about(BEN, 1)))
      .changesNothing();
    given(...talk, reacted(CARA, 1), ...others)
      .when(react(CARA, about(BEN, 1)))
      .then(reacted(CARA, 1));
  });

  it('needs a message that is there, not deleted, and to be seen', () => {
    given(...talk)
      .when(react(CARA, aboutNothing(0)))
      .refuses('not_found');
    given(...talk)
      .when(react(CARA, about(BEN, 2)))
      .refuses('not_found');
    given(...talk, deleted(BEN, 1))
      .when(react(CARA, about(BEN, 1)))
      .refuses('conflict');
    given(...joinedLater)
      .when(react(DORA, about(BEN, 1)))
      .refuses('not_found');
    given(...joinedLater, {
      type: 'ConversationChanged',
      by: ANNA,
      settings: { historyVisibility: 'shared' },
    })
      .when(react(DORA, about(BEN, 1)))
      .then(reacted(DORA, 1));
  });

  it('is refused while one blocks the other, but can be taken back', () => {
    const blocked = [directStarted(), sent(ANNA, 1), reacted(BEN, 1), membership(ANNA, BEN, 'blocked')];
    given(...blocked)
      .when({ ...react(BEN, about(ANNA, 1)), emoji: '👎' })
      .refuses('blocked');
    given(...blocked)
      .when(react(BEN, about(ANNA, 1), false))
      .then(reacted(BEN, 1, 'removed'));
  });

  it('is refused to those who are no members', () => {
    given()
      .when(react(BEN, about(BEN, 1)))
      .refuses('not_found');
    given(...talk)
      .when(react(STRANGER, about(BEN, 1)))
      .refuses('not_found');
    given(...talk, membership(BEN, BEN, 'left'))
      .when(react(BEN, about(BEN, 1)))
      .refuses('not_a_member');
  });
});

describe('what is remembered about messages', () => {
  it('costs the same for a long conversation as for a short one', () => {
    const state = stateAfter(talk);
    if (state === undefined) throw new Error('no state');
    const later = evolve(state, {
      conversationId: CONVERSATION,
      seq: asSeq(2),
      at: atSeq(2),
      event: reacted(CARA, 1),
    });
    expect(later.members).toBe(state.members);
    expect(later.recent).toBe(state.recent);
  });
});
