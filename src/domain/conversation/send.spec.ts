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
  keyBornAt,
  membership,
  sending,
  sent,
  settingsChanged,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asClientMessageId, asMessageId, asSeq } from '../../kernel/ids';
import type { StoredMessage } from './commands';
import { DEDUPE_WINDOW_MAX } from './state';

describe('sending a message', () => {
  it('gives it the next ordinal, whatever lies between', () => {
    given(groupStarted())
      .when(sending(sent(BEN, 1)))
      .then(sent(BEN, 1));
    given(groupStarted(), sent(ANNA, 1), membership(ANNA, DORA, 'joined', 'member'), sent(DORA, 2))
      .when(sending(sent(BEN, 3)))
      .then(sent(BEN, 3));
  });

  it('keeps all that the sender chose', () => {
    const chosen = {
      replyTo: asSeq(1),
      threadOf: asSeq(0),
      forwardedFrom: { conversationId: CONVERSATION, seq: asSeq(7) },
      mentions: [ANNA, CARA],
      originalAt: '2004-11-15T10:00:00.000Z',
    };
    given(groupStarted(), sent(ANNA, 1))
      .when(sending(sent(BEN, 2, chosen)))
      .then(sent(BEN, 2, chosen));
  });

  it('dates its end when messages disappear', () => {
    given(groupStarted(), settingsChanged({ disappearAfterSeconds: 90 }))
      .when(sending(sent(BEN, 1), { at: atSeq(10) }))
      .then(sent(BEN, 1, { expiresAt: new Date(atSeq(100)).toISOString() }));
  });

  it("moves the sender's read cursor and nobody else's", () => {
    const members = given(groupStarted(), sent(BEN, 1)).state()?.members;
    expect([ANNA, BEN, CARA].map((id) => members?.get(id)?.readUpTo)).toEqual([-1, 1, -1]);
  });

  it('is refused where there is nothing, to strangers, and to those who are gone', () => {
    const command = sending(sent(BEN, 1));
    given().when(command).refuses('not_found');
    given(groupStarted())
      .when(sending(sent(STRANGER, 1)))
      .refuses('not_found');
    given(groupStarted(), membership(ANNA, BEN, 'removed'))
      .when(command)
      .refuses('not_a_member');
    given(groupStarted(), membership(BEN, BEN, 'left'))
      .when(command)
      .refuses('not_a_member');
  });

  it('to a stranger sounds exactly like no conversation at all', () => {
    const command = sending(sent(STRANGER, 1));
    expect(given(groupStarted()).when(command).decision).toEqual(given().when(command).decision);
  });

  it('works again for one who has come back', () => {
    given(groupStarted(), membership(ANNA, BEN, 'removed'), membership(ANNA, BEN, 'joined', 'member'))
      .when(sending(sent(BEN, 1)))
      .then(sent(BEN, 1));
  });

  it('is refused to both while one blocks the other', () => {
    const blocked = membership(BEN, ANNA, 'blocked');
    given(directStarted(), blocked)
      .when(sending(sent(ANNA, 1)))
      .refuses('blocked');
    given(directStarted(), blocked)
      .when(sending(sent(BEN, 1)))
      .refuses('blocked');
    given(directStarted(), blocked, membership(BEN, ANNA, 'unblocked'))
      .when(sending(sent(ANNA, 1)))
      .then(sent(ANNA, 1));
  });

  it('is for admins where only admins post', () => {
    const started = groupStarted({ settings: { whoMayPost: 'admins' } });
    given(started)
      .when(sending(sent(BEN, 1)))
      .refuses('forbidden');
    given(started)
      .when(sending(sent(ANNA, 1)))
      .then(sent(ANNA, 1));
    given(started, membership(ANNA, BEN, 'roleChanged', 'admin'))
      .when(sending(sent(BEN, 1)))
      .then(sent(BEN, 1));
  });

  it.each(['replyTo', 'threadOf'] as const)('refers by %s to what exists', (field) => {
    const before = [groupStarted(), sent(ANNA, 1)];
    given(...before)
      .when(sending(sent(BEN, 2, { [field]: asSeq(1) })))
      .then(sent(BEN, 2, { [field]: asSeq(1) }));
    given(...before)
      .when(sending(sent(BEN, 2, { [field]: asSeq(2) })))
      .refuses('invalid_input', field);
    given(...before)
      .when(sending(sent(BEN, 2, { [field]: asSeq(-1) })))
      .refuses('invalid_input', field);
  });

  it('mentions members only', () => {
    given(groupStarted())
      .when(sending(sent(BEN, 1, { mentions: [ANNA, DORA] })))
      .refuses('invalid_input', 'mentions');
  });
});

describe('sending again', () => {
  it('is answered with what is stored', () => {
    given(groupStarted(), sent(BEN, 1), sent(ANNA, 2))
      .when(sending(sent(BEN, 1), { at: atSeq(500) }))
      .repeats(1);
  });

  it('tells the stored message, not the repeated one', () => {
    const { decision } = given(groupStarted(), sent(BEN, 1)).when(
      sending(sent(BEN, 1, { messageId: asMessageId('made-for-the-retry') })),
    );
    const message: StoredMessage = {
      messageId: asMessageId('message-1'),
      seq: asSeq(1),
      ordinal: sent(BEN, 1).ordinal,
      at: atSeq(1),
      contentHash: 'hash-1',
    };
    expect(decision).toEqual({ kind: 'repeated', message });
  });

  it('with other content is refused', () => {
    given(groupStarted(), sent(BEN, 1))
      .when(sending(sent(BEN, 1, { contentHash: 'other' })))
      .refuses('client_message_id_reused', 'clientMessageId');
  });

  it('is another message from another sender', () => {
    const same = { clientMessageId: asClientMessageId('key-1'), contentHash: 'hash-1' };
    given(groupStarted(), sent(BEN, 1))
      .when(sending(sent(ANNA, 2, same)))
      .then(sent(ANNA, 2, same));
  });

  it('is answered also when the sender may no longer post', () => {
    given(groupStarted(), sent(BEN, 1), settingsChanged({ whoMayPost: 'admins' }))
      .when(sending(sent(BEN, 1)))
      .repeats(1);
    given(directStarted(), sent(ANNA, 1), membership(BEN, ANNA, 'blocked'))
      .when(sending(sent(ANNA, 1)))
      .repeats(1);
  });

  it('is not answered to one who is no member any more', () => {
    given(groupStarted(), sent(BEN, 1), membership(ANNA, BEN, 'removed'))
      .when(sending(sent(BEN, 1)))
      .refuses('not_a_member');
  });
});

describe('sending what may have left the window', () => {
  /** Born in the order of their ordinals, one millisecond apart. */
  const BIRTH = 1_700_000_000_000;
  const born = (by: typeof BEN, ordinal: number, birth = BIRTH + ordinal) =>
    sent(by, ordinal, { clientMessageId: asClientMessageId(keyBornAt(birth)) });
  const filled = (count: number) => Array.from({ length: count }, (_, index) => born(BEN, index + 1));

  it(`needs no look-up while there are at most ${DEDUPE_WINDOW_MAX} messages, whatever the key`, () => {
    const last = DEDUPE_WINDOW_MAX + 1;
    given(groupStarted(), ...filled(DEDUPE_WINDOW_MAX))
      .when(sending(sent(BEN, last)))
      .then(sent(BEN, last));
    given(groupStarted(), ...filled(DEDUPE_WINDOW_MAX))
      .when(sending(born(BEN, 1)))
      .repeats(1);
  });

  const overflown = [groupStarted(), ...filled(DEDUPE_WINDOW_MAX + 1)];
  const next = DEDUPE_WINDOW_MAX + 2;
  const head = asSeq(DEDUPE_WINDOW_MAX + 1);
  const oldest = { by: BEN, clientMessageId: asClientMessageId(keyBornAt(BIRTH + 2)) };

  it('needs none for a key born after all that were dropped, nor for one in the window', () => {
    given(...overflown)
      .when(sending(born(BEN, next)))
      .then(born(BEN, next));
    given(...overflown)
      .when(sending(born(BEN, next, BIRTH + 2), {}))
      .refuses('client_message_id_reused', 'clientMessageId');
    given(...overflown)
      .when(sending(born(BEN, 2)))
      .repeats(2);
  });

  it('needs none for a key from the far future, as no clock is asked', () => {
    const far = born(BEN, next, Date.UTC(9999, 0));
    given(...overflown)
      .when(sending(far))
      .then(far);
  });

  it('asks the index for a key that may have been dropped', () => {
    const request = { by: BEN, after: oldest, asOf: head };
    given(...overflown)
      .when(sending(born(BEN, next, BIRTH + 1)))
      .asksIndex({ ...request, clientMessageId: asClientMessageId(keyBornAt(BIRTH + 1)) });
    given(...overflown)
      .when(sending(born(BEN, next, 0)))
      .asksIndex(request);
    given(...overflown)
      .when(sending(sent(BEN, next)))
      .asksIndex(request);
  });

  it("does not ask for others' sake: only births of the same sender count", () => {
    given(...overflown)
      .when(sending(born(ANNA, next, 0)))
      .then(born(ANNA, next, 0));
  });

  const stored: StoredMessage = {
    messageId: asMessageId('message-1'),
    seq: asSeq(1),
    ordinal: sent(BEN, 1).ordinal,
    at: atSeq(1),
    contentHash: 'hash-1',
  };
  const asked = (message: ReturnType<typeof sent>, found: StoredMessage | undefined, asOf = head) => ({
    ...sending(message),
    index: { found, asOf },
  });

  it('takes the word of the index', () => {
    given(...overflown)
      .when(asked(born(BEN, 1), stored))
      .repeats(1);
    given(...overflown)
      .when(asked({ ...born(BEN, 1), contentHash: 'other' }, stored))
      .refuses('client_message_id_reused', 'clientMessageId');
    const old = born(BEN, next, 5);
    const { decision } = given(...overflown).when(asked(old, undefined));
    expect(decision).toEqual({ kind: 'accepted', events: [old] });
  });

  it('asks again when something that came after the look-up has been dropped', () => {
    const old = born(BEN, next, 5);
    // Dropped so far: seq 1. An answer as of seq 1 knows it, an answer as of seq 0 does not.
    expect(given(...overflown).when(asked(old, undefined, asSeq(1))).decision.kind).toBe('accepted');
    given(...overflown)
      .when(asked(old, undefined, asSeq(0)))
      .asksIndex({ asOf: head });
  });

  it('believes the window before the index', () => {
    given(...overflown)
      .when(asked(born(BEN, 2), undefined))
      .repeats(2);
  });

  it('still refuses who is blocked or may not post, once the key is known to be new', () => {
    const old = born(BEN, next, 5);
    const { decision } = given(...overflown, settingsChanged({ whoMayPost: 'admins' })).when(
      asked(old, undefined),
    );
    expect(decision).toMatchObject({ kind: 'refused', refusal: { code: 'forbidden' } });
  });

  it('asks for one who came back as if they had never been away', () => {
    const back = [...overflown, membership(BEN, BEN, 'left'), membership(ANNA, BEN, 'joined', 'member')];
    given(...back)
      .when(sending(born(BEN, next, BIRTH + 1)))
      .asksIndex({});
    given(...back)
      .when(sending(born(BEN, next)))
      .then(born(BEN, next));
  });

  it('remembers what was dropped while they were away', () => {
    const away = [groupStarted(), born(BEN, 1), membership(BEN, BEN, 'left')];
    const others = Array.from({ length: DEDUPE_WINDOW_MAX }, (_, index) => born(ANNA, index + 2));
    given(...away, ...others, membership(ANNA, BEN, 'joined', 'member'))
      .when(sending(born(BEN, next, BIRTH + 1)))
      .asksIndex({});
  });
});
