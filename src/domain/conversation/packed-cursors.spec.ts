import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { ANNA, BEN, CARA } from '../../../test/support/given-conversation';
import { replayable } from '../../../test/support/replayable';
import { asDeviceId, asSeq, asUserId } from '../../kernel/ids';
import type { MessageDelivered, MessageRead } from './events';
import {
  deliveredCursorsOf,
  deviceAliasOf,
  deviceTagOf,
  pack,
  readCursorOf,
  readCursorsOf,
  uniqueTags,
  unpack,
  userTagOf,
} from './packed-cursors';

const user = fc.nat(0xffffff);
const upTo = fc.nat(Number.MAX_SAFE_INTEGER).map(asSeq);
const golden = (type: 'MessageRead' | 'MessageDelivered'): unknown => {
  const file = join(__dirname, '..', '..', '..', 'test', 'golden', `${type}.v2.json`);
  return { type, ...(JSON.parse(readFileSync(file, 'utf8')) as { data: object }).data };
};

describe('packed cursors', () => {
  it('come back as they went in, users and devices in order', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ user, device: user, upTo })), (entries) => {
        const back = unpack(pack(entries), 'devices');
        const sorted = [...entries].sort((a, b) => a.upTo - b.upTo || a.user - b.user || a.device - b.device);
        expect(back).toEqual(sorted);
      }),
      replayable(300),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ user, upTo })), (entries) => {
        expect(unpack(pack(entries), 'usersOnly')).toEqual(
          [...entries].sort((a, b) => a.upTo - b.upTo || a.user - b.user),
        );
      }),
      replayable(300),
    );
  });

  it('are read as they were first written, for ever', () => {
    const ben = asUserId('01938f3a-0000-7000-8000-000000000003');
    const inFull = { userId: asUserId('01938f3a-0000-7000-8000-000000000002'), upTo: 9 };
    expect(readCursorsOf(golden('MessageRead') as MessageRead, [ANNA, ben])).toEqual([
      inFull,
      { userId: ben, upTo: 9 },
    ]);
    expect(deliveredCursorsOf(golden('MessageDelivered') as MessageDelivered, [ANNA, ben])).toEqual([
      { ...inFull, deviceId: 'phone-1' },
      { userId: ben, deviceId: '~aabbcc', upTo: 9 },
    ]);
    expect(readCursorOf(golden('MessageRead') as MessageRead, ben)).toEqual({ userId: ben, upTo: 9 });
    expect(readCursorOf(golden('MessageRead') as MessageRead, ANNA)).toBeUndefined();
    // The names in stored events: another hash would make every device a new one.
    expect(deviceAliasOf(deviceTagOf(asDeviceId('phone-1')))).toBe('~890abc');
  });

  it('say when they end too early', () => {
    expect(() => unpack(pack([{ user: 1, upTo: asSeq(1) }]).slice(0, 3), 'usersOnly')).toThrow(
      'in the middle',
    );
  });

  it('take no tag that two of the members share, or that is none', () => {
    const twin = asUserId('ffffffff-0000-7000-8000-ff000000000b');
    expect([...uniqueTags([ANNA, BEN, twin, twin, asUserId('not hex'), CARA])]).toEqual([0xa, 0xc]);
    expect(userTagOf(BEN)).toBe(0xb);
  });
});
