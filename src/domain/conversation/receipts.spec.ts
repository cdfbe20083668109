import {
  ANNA,
  BEN,
  CARA,
  DORA,
  given,
  groupStarted,
  membership,
  sent,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asDeviceId, asSeq, asUserId, type UserId } from '../../kernel/ids';
import type { DeliveredCursor, MessageDelivered, MessageRead, ReadCursor } from './events';
import { deviceTagOf, pack } from './packed-cursors';
import { DELIVERED_DEVICES_MAX, RECEIPTS_BROADCAST_MEMBERS_MAX } from './state';

const delivered = (userId: UserId, upTo: number, device = 'phone'): DeliveredCursor => ({
  userId,
  deviceId: asDeviceId(device),
  upTo: asSeq(upTo),
});
const read = (userId: UserId, upTo: number): ReadCursor => ({ userId, upTo: asSeq(upTo) });
const recordDelivered = (...cursors: DeliveredCursor[]) =>
  ({ type: 'RecordDelivered', by: ANNA, cursors }) as const;
const recordRead = (...cursors: ReadCursor[]) => ({ type: 'RecordRead', by: ANNA, cursors }) as const;
const wasDelivered = (...cursors: DeliveredCursor[]): MessageDelivered => ({
  type: 'MessageDelivered',
  by: cursors[0]?.userId ?? ANNA,
  cursors,
  audience: 'everyone',
});
const wasRead = (...cursors: ReadCursor[]): MessageRead => ({
  type: 'MessageRead',
  by: cursors[0]?.userId ?? ANNA,
  cursors,
  audience: 'everyone',
});

/** Head is 2. */
const talk = [groupStarted(), sent(ANNA, 1), sent(ANNA, 2)];

describe('delivered', () => {
  it('is recorded for each device, by the first of those it is about', () => {
    given(...talk)
      .when(recordDelivered(delivered(BEN, 1), delivered(BEN, 2, 'tablet'), delivered(CARA, 2)))
      .then(wasDelivered(delivered(BEN, 1), delivered(BEN, 2, 'tablet'), delivered(CARA, 2)));
  });

  it('only moves forward, device by device', () => {
    const before = wasDelivered(delivered(BEN, 1));
    given(...talk, before)
      .when(recordDelivered(delivered(BEN, 1)))
      .changesNothing();
    given(...talk, before)
      .when(recordDelivered(delivered(BEN, 0)))
      .changesNothing();
    given(...talk, before)
      .when(recordDelivered(delivered(BEN, 2), delivered(BEN, 0, 'tablet')))
      .then(wasDelivered(delivered(BEN, 2), delivered(BEN, 0, 'tablet')));
  });

  it('keeps the furthest of several for one device', () => {
    given(...talk)
      .when(recordDelivered(delivered(BEN, 1), delivered(CARA, 1), delivered(BEN, 2), delivered(BEN, 0)))
      .then(wasDelivered(delivered(BEN, 2), delivered(CARA, 1)));
  });

  it('leaves out who is no member and what lies beyond the head', () => {
    given(...talk, membership(ANNA, CARA, 'removed'))
      .when(
        recordDelivered(delivered(STRANGER, 1), delivered(CARA, 1), delivered(BEN, 99), delivered(ANNA, 3)),
      )
      .then(wasDelivered(delivered(ANNA, 3)));
    given(...talk)
      .when(recordDelivered(delivered(STRANGER, 1)))
      .changesNothing();
    given(...talk)
      .when(recordDelivered(delivered(BEN, 3)))
      .changesNothing();
    given(...talk)
      .when(recordDelivered())
      .changesNothing();
  });

  it('never goes back behind a joining, so that no earlier membership is undone', () => {
    const rejoined = [
      ...talk,
      wasDelivered(delivered(BEN, 2)),
      membership(BEN, BEN, 'left'),
      membership(ANNA, BEN, 'joined', 'member'),
    ];
    given(...rejoined)
      .when(recordDelivered(delivered(BEN, 1, 'tablet')))
      .changesNothing();
    given(...rejoined)
      .when(recordDelivered(delivered(BEN, 5)))
      .then(wasDelivered(delivered(BEN, 5)));
  });

  it('has nothing to be recorded in where there is no conversation', () => {
    given()
      .when(recordDelivered(delivered(BEN, 0)))
      .refuses('not_found');
  });

  it(`is remembered for ${DELIVERED_DEVICES_MAX} devices; of more, the first may be recorded again`, () => {
    const devices = Array.from({ length: DELIVERED_DEVICES_MAX }, (_, index) =>
      delivered(CARA, 1, `device-${index}`),
    );
    given(...talk, wasDelivered(delivered(BEN, 1)), wasDelivered(...devices.slice(1)))
      .when(recordDelivered(delivered(BEN, 1)))
      .changesNothing();
    given(...talk, wasDelivered(delivered(BEN, 1)), wasDelivered(...devices))
      .when(recordDelivered(delivered(BEN, 1)))
      .then(wasDelivered(delivered(BEN, 1)));
  });
});

describe('read', () => {
  it('is recorded for each user and only moves forward', () => {
    given(...talk)
      .when(recordRead(read(BEN, 1), read(CARA, 2)))
      .then(wasRead(read(BEN, 1), read(CARA, 2)));
    given(...talk, wasRead(read(BEN, 1)))
      .when(recordRead(read(BEN, 1)))
      .changesNothing();
    given(...talk, wasRead(read(BEN, 1)))
      .when(recordRead(read(BEN, 0)))
      .changesNothing();
    given(...talk, wasRead(read(BEN, 1)))
      .when(recordRead(read(BEN, 2)))
      .then(wasRead(read(BEN, 2)));
  });

  it('is implied by sending', () => {
    given(...talk)
      .when(recordRead(read(ANNA, 2)))
      .changesNothing();
    given(...talk, sent(BEN, 3))
      .when(recordRead(read(BEN, 2)))
      .changesNothing();
  });

  it('leaves out who is no member, what lies beyond the head, and what came before joining', () => {
    given(...talk, membership(ANNA, DORA, 'joined', 'member'))
      .when(recordRead(read(STRANGER, 1), read(BEN, 99), read(DORA, 2), read(CARA, 3)))
      .then(wasRead(read(CARA, 3)));
    given()
      .when(recordRead(read(BEN, 0)))
      .refuses('not_found');
  });
});

describe('who sees receipts', () => {
  const group = (members: number) =>
    groupStarted({
      memberIds: [ANNA, BEN, ...Array.from({ length: members - 2 }, (_, index) => asUserId(`user-${index}`))],
    });

  it(`is everyone up to ${RECEIPTS_BROADCAST_MEMBERS_MAX} members, and those concerned above`, () => {
    const command = recordRead(read(BEN, 0));
    given(group(RECEIPTS_BROADCAST_MEMBERS_MAX))
      .when(command)
      .then(wasRead(read(BEN, 0)));
    const [bens] = [{ user: 0x00000b, upTo: asSeq(0) }];
    given(group(RECEIPTS_BROADCAST_MEMBERS_MAX + 1))
      .when(command)
      .then({ ...wasRead(), by: BEN, audience: 'concerned', packed: pack([bens]) });
    const phone = deviceTagOf(asDeviceId('phone'));
    given(group(RECEIPTS_BROADCAST_MEMBERS_MAX + 1))
      .when(recordDelivered(delivered(BEN, 0)))
      .then({
        ...wasDelivered(),
        by: BEN,
        audience: 'concerned',
        packed: pack([{ ...bens, device: phone }]),
      });
  });

  it('keeps what was told in full in mind when the group has grown, and the other way round', () => {
    const grown = Array.from({ length: RECEIPTS_BROADCAST_MEMBERS_MAX }, (_, index) =>
      membership(ANNA, asUserId(`user-${index}`), 'joined', 'member'),
    );
    const small = [...talk, wasDelivered(delivered(BEN, 2)), wasRead(read(BEN, 2))];
    given(...small, ...grown)
      .when(recordDelivered(delivered(BEN, 2)))
      .changesNothing();
    const packed = { cursors: [], audience: 'concerned' } as const;
    const entry = { user: 0x00000b, upTo: asSeq(2) };
    const phone = deviceTagOf(asDeviceId('phone'));
    const before = [
      ...talk,
      { ...wasDelivered(), ...packed, packed: pack([{ ...entry, device: phone }]) },
      { ...wasRead(), ...packed, packed: pack([entry]) },
    ];
    given(...before)
      .when(recordDelivered(delivered(BEN, 2), delivered(BEN, 1, 'tablet')))
      .then(wasDelivered(delivered(BEN, 1, 'tablet')));
    given(...before)
      .when(recordRead(read(BEN, 2)))
      .changesNothing();
  });

  it('never guesses which of two members with one tag it was: both are written in full', () => {
    const twin = asUserId('019aa000-0000-7000-8000-aa000000000b');
    const members = [ANNA, BEN, CARA, twin, ...Array.from({ length: 30 }, (_, n) => asUserId(`user-${n}`))];
    given(groupStarted({ memberIds: members }), sent(ANNA, 1))
      .when(recordRead(read(twin, 1), read(CARA, 1)))
      .then({
        ...wasRead(read(twin, 1)),
        audience: 'concerned',
        packed: pack([{ user: 0x00000c, upTo: asSeq(1) }]),
      });
  });
});
