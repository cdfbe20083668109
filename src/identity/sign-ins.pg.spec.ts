import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { identityOn, REFRESH_TTL_MS, type TestIdentity } from '../../test/support/identity';
import { asDeviceId } from '../kernel/ids';
import { DEVICES_PER_USER_MAX } from './devices';

describe('sign-ins on Postgres', () => {
  let store: TestDatabase;
  let identity: TestIdentity;

  beforeAll(async () => {
    store = await createTestDatabase();
  });
  afterAll(() => store.drop());
  beforeEach(() => {
    identity = identityOn(store.database);
  });

  describe('refresh tokens', () => {
    it('rotate: each is good for one use and the newest for the next', async () => {
      const { id } = await identity.newUser();
      let credentials = await identity.signIns.open(id);
      for (let turn = 0; turn < 3; turn++) {
        const next = await identity.signIns.refresh(credentials.refreshToken);
        if (next === undefined) throw new Error('refused');
        expect(next.refreshToken).not.toBe(credentials.refreshToken);
        expect(next.signInId).toBe(credentials.signInId);
        expect(await identity.tokens.verify(next.accessToken)).toMatchObject({
          userId: id,
          signInId: next.signInId,
        });
        credentials = next;
      }
      expect(identity.signedOut).toEqual([]);
    });

    it('end the whole family, sockets and access tokens too, when a used one comes back', async () => {
      const { id } = await identity.newUser();
      const first = await identity.signIns.open(id);
      const second = await identity.signIns.refresh(first.refreshToken);
      const other = await identity.signIns.open(id);
      expect(await identity.signIns.refresh(first.refreshToken)).toBeUndefined();
      expect(await identity.signIns.refresh(second?.refreshToken ?? '')).toBeUndefined();
      expect(await identity.tokens.verify(second?.accessToken ?? '')).toBeUndefined();
      expect(identity.signedOut).toContainEqual({ userId: id, which: { signInId: first.signInId } });
      // Another sign-in of the same user is another family.
      expect(await identity.tokens.verify(other.accessToken)).toBeDefined();
      expect(await identity.signIns.refresh(other.refreshToken)).toBeDefined();
    });

    it('have exactly one winner of many at once, and the losers end the family', async () => {
      const { id } = await identity.newUser();
      for (let round = 0; round < 5; round++) {
        const { refreshToken, signInId } = await identity.signIns.open(id);
        const answers = await Promise.all(
          Array.from({ length: 6 }, () => identity.signIns.refresh(refreshToken)),
        );
        const winners = answers.filter((answer) => answer !== undefined);
        expect(winners).toHaveLength(1);
        expect(await identity.signIns.refresh(winners[0]?.refreshToken ?? '')).toBeUndefined();
        expect(identity.signedOut).toContainEqual({ userId: id, which: { signInId } });
      }
    });

    it('expire', async () => {
      const { id } = await identity.newUser();
      const { refreshToken } = await identity.signIns.open(id);
      identity.clock.at += REFRESH_TTL_MS;
      expect(await identity.signIns.refresh(refreshToken)).toBeUndefined();
      expect(identity.signedOut).toEqual([]);
    });

    it.each(['', 'x', 'x'.repeat(43), 'é'.repeat(43), '\u0000'.repeat(43), 'a'.repeat(1_000_000)])(
      'are refused when unknown (%#)',
      async (token) => {
        expect(await identity.signIns.refresh(token)).toBeUndefined();
      },
    );

    it('end at logout, and only for their owner', async () => {
      const [ann, bob] = [await identity.newUser(), await identity.newUser()];
      const credentials = await identity.signIns.open(ann.id);
      await identity.signIns.end(bob.id, credentials.signInId, 'logout');
      const kept = await identity.signIns.refresh(credentials.refreshToken);
      expect(kept).toBeDefined();
      await identity.signIns.end(ann.id, credentials.signInId, 'logout');
      expect(await identity.signIns.refresh(kept?.refreshToken ?? '')).toBeUndefined();
    });

    it('end by themselves, for a client whose access token has expired', async () => {
      const { id } = await identity.newUser();
      const { refreshToken, signInId } = await identity.signIns.open(id);
      expect(await identity.signIns.endByToken('x'.repeat(43))).toBe(false);
      expect(await identity.signIns.endByToken(refreshToken)).toBe(true);
      expect(await identity.signIns.refresh(refreshToken)).toBeUndefined();
      expect(identity.signedOut).toContainEqual({ userId: id, which: { signInId } });
    });

    it('are stored as hashes alone', async () => {
      const { id } = await identity.newUser();
      const { refreshToken } = await identity.signIns.open(id);
      const rows = await store.database.query<{ row: string }>(
        `SELECT t::text || s::text AS row FROM app.refresh_tokens t JOIN app.sign_ins s ON s.id = t.sign_in_id`,
      );
      expect(JSON.stringify(rows)).not.toContain(refreshToken);
    });
  });

  describe('devices', () => {
    const phone = asDeviceId('phone');

    it('are remembered with what they last said of themselves', async () => {
      const { id } = await identity.newUser();
      const { signInId } = await identity.signIns.open(id);
      await identity.devices.seen({ userId: id, deviceId: phone, signInId, name: 'Phone', platform: 'web' });
      identity.clock.at += 1_000;
      await identity.devices.seen({ userId: id, deviceId: phone, signInId });
      expect(await identity.devices.list(id)).toEqual([
        {
          id: phone,
          name: 'Phone',
          platform: 'web',
          signInId,
          createdAt: identity.clock.at - 1_000,
          lastSeenAt: identity.clock.at,
        },
      ]);
      expect((await identity.profiles.get(id, id))?.lastSeenAt).toBe(identity.clock.at);
    });

    it('sign out when removed: every sign-in seen on them, and their sockets', async () => {
      const { id } = await identity.newUser();
      const [first, second, elsewhere] = [
        await identity.signIns.open(id),
        await identity.signIns.open(id),
        await identity.signIns.open(id),
      ];
      for (const { signInId } of [first, second])
        await identity.devices.seen({ userId: id, deviceId: phone, signInId });
      expect(await identity.devices.remove(id, phone)).toBe(true);
      expect(await identity.devices.remove(id, phone)).toBe(false);
      expect(await identity.signIns.refresh(first.refreshToken)).toBeUndefined();
      expect(await identity.signIns.refresh(second.refreshToken)).toBeUndefined();
      expect(await identity.signIns.refresh(elsewhere.refreshToken)).toBeDefined();
      expect(identity.signedOut).toContainEqual({ userId: id, which: { deviceId: phone } });
    });

    it('belong to one user each', async () => {
      const [ann, bob] = [await identity.newUser(), await identity.newUser()];
      const { signInId } = await identity.signIns.open(ann.id);
      await identity.devices.seen({ userId: ann.id, deviceId: phone, signInId });
      expect(await identity.devices.remove(bob.id, phone)).toBe(false);
      expect(await identity.devices.list(ann.id)).toHaveLength(1);
    });

    it('are forgotten beyond the limit, the longest unseen first', async () => {
      const { id } = await identity.newUser();
      const { signInId } = await identity.signIns.open(id);
      for (let count = 0; count <= DEVICES_PER_USER_MAX; count++) {
        identity.clock.at += 1;
        await identity.devices.seen({ userId: id, deviceId: asDeviceId(`device${count}`), signInId });
      }
      const kept = await identity.devices.list(id);
      expect(kept).toHaveLength(DEVICES_PER_USER_MAX);
      expect(kept.map((device) => device.id as string)).not.toContain('device0');
    });
  });
});
