import { identityOn, type TestIdentity } from '../../test/support/identity';
import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { NodeNotices, type NodeNotice } from '../application/ports/node-notices';
import type { Config } from '../config/config';
import { ENDED_OVERLAP_MS, ENDED_ROWS_MAX, EndedSignIns } from './ended-sign-ins';

const ACCESS_TTL_MS = 900_000;

class TestNotices extends NodeNotices {
  listener: ((notice: NodeNotice) => void) | undefined;
  tellOthers = (): void => undefined;
  subscribe(listener: (notice: NodeNotice) => void): () => void {
    this.listener = listener;
    return () => (this.listener = undefined);
  }
}

describe('sign-ins that ended on another node', () => {
  let store: TestDatabase;
  /** Two nodes on one database; what ends on one is to be known to the other. */
  let one: TestIdentity;
  let other: TestIdentity;
  let notices: TestNotices;
  let ended: EndedSignIns;

  const follow = (identity: TestIdentity): EndedSignIns => {
    notices = new TestNotices();
    const config = { accessTokenTtlMs: ACCESS_TTL_MS } as Config;
    const { tokens, sockets, clock } = identity;
    return new EndedSignIns(store.database, tokens, sockets, clock, notices, config);
  };

  beforeEach(async () => {
    store = await createTestDatabase();
    [one, other] = [identityOn(store.database), identityOn(store.database)];
    ended = follow(other);
  });
  afterEach(async () => {
    await ended.onModuleDestroy();
    await store.drop();
  });

  it('are refused after the next look, and their sockets here closed, once', async () => {
    const { id } = await one.newUser();
    const kept = await one.signIns.open(id);
    const { signInId, accessToken } = await one.signIns.open(id);
    await ended.look();
    expect(await other.tokens.verify(accessToken)).toBeDefined();
    await one.signIns.end(id, signInId, 'logout');
    expect(await other.tokens.verify(accessToken)).toBeDefined();
    await ended.look();
    await ended.look();
    expect(await other.tokens.verify(accessToken)).toBeUndefined();
    expect(await other.tokens.verify(kept.accessToken)).toBeDefined();
    expect(other.sockets.here).toEqual([{ userId: id, which: { signInId } }]);
    // Nobody else is told again: they look for themselves.
    expect(other.sockets.calls).toEqual([]);
  });

  it('are refused at once when a notice says so', async () => {
    const { id } = await one.newUser();
    const { signInId, accessToken } = await one.signIns.open(id);
    notices.listener?.({ kind: 'signOut', userId: id, signInId });
    expect(await other.tokens.verify(accessToken)).toBeUndefined();
  });

  it('are known to a node that was away, as long as their tokens would be good', async () => {
    const { id } = await one.newUser();
    const { signInId, accessToken } = await one.signIns.open(id);
    await one.signIns.end(id, signInId, 'logout');
    const later = identityOn(store.database);
    later.clock.at = one.clock.at + ACCESS_TTL_MS - 1;
    const followed = follow(later);
    await followed.look();
    expect(await later.tokens.verify(accessToken)).toBeUndefined();
    expect(later.sockets.here).toHaveLength(1);
    await followed.onModuleDestroy();
  });

  it('are found although their node is a minute behind', async () => {
    const { id } = await one.newUser();
    const first = await one.signIns.open(id);
    await one.signIns.end(id, first.signInId, 'logout');
    await ended.look();
    const late = await one.signIns.open(id);
    one.clock.at -= ENDED_OVERLAP_MS - 1_000;
    await one.signIns.end(id, late.signInId, 'logout');
    await ended.look();
    expect(other.sockets.here).toHaveLength(2);
  });

  it(`are read in pages of ${ENDED_ROWS_MAX}`, async () => {
    const { id } = await one.newUser();
    await store.database.query(
      `INSERT INTO app.sign_ins (id, user_id, created_at, ended_at, end_reason)
       SELECT gen_random_uuid(), $1, $2, $2, 'logout' FROM generate_series(1, $3::int)`,
      [id, new Date(one.clock.at), 2 * ENDED_ROWS_MAX + 1],
    );
    await ended.look();
    expect(other.sockets.here).toHaveLength(2 * ENDED_ROWS_MAX + 1);
  });
});
