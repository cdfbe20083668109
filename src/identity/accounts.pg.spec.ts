import { createTestDatabase, type TestDatabase } from '../../test/support/postgres';
import { identityOn, PASSWORD, type TestIdentity } from '../../test/support/identity';
import { asDeviceId, asUserId } from '../kernel/ids';
import { uuidv5, uuidv7 } from '../kernel/uuid';
import { IMPORTED_USERS_CHUNK_MAX, type ImportedUser } from './accounts';
import { Blocks } from './blocks';
import { StoreUnavailable } from '../application/ports/store-unavailable';
import { PostgresLastSeenPrivacy } from './postgres-last-seen-privacy';
import { PostgresUserDirectory } from './postgres-user-directory';

const NAMESPACE = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';

describe('people on Postgres', () => {
  let store: TestDatabase;
  let identity: TestIdentity;

  beforeAll(async () => {
    store = await createTestDatabase();
  });
  afterAll(() => store.drop());
  beforeEach(() => {
    identity = identityOn(store.database);
  });

  describe('accounts', () => {
    it('gives one name to one person, whatever its case and however many ask at once', async () => {
      const spellings = ['Racer', 'racer', 'RACER', 'rAcEr', 'racer', 'Racer'];
      const answers = await Promise.all(
        spellings.map((username) =>
          identity.accounts.register({ username, password: PASSWORD, displayName: 'R' }),
        ),
      );
      expect(answers.map(({ kind }) => kind).sort()).toEqual(
        ['registered', ...Array.from({ length: 5 }, () => 'usernameTaken')].sort(),
      );
    });

    it('knows people by name, in any case, and password', async () => {
      const ann = await identity.newUser('AnnLogsIn');
      expect(await identity.accounts.logIn('annlogsin', PASSWORD, '::1')).toEqual({
        kind: 'known',
        userId: ann.id,
      });
      expect(await identity.accounts.logIn('AnnLogsIn', 'wrong', '::1')).toEqual({ kind: 'unknown' });
      expect(await identity.accounts.logIn('nobody-at-all', PASSWORD, '::1')).toEqual({ kind: 'unknown' });
    });

    it('lets nobody in as somebody imported', async () => {
      const id = asUserId(uuidv7());
      await identity.accounts.importUsers([
        { id, username: 'imported', displayName: 'Imported', source: 'irc' },
      ]);
      expect(await identity.accounts.logIn('imported', '', '::1')).toEqual({ kind: 'unknown' });
    });

    it('answers an eleventh guess with a time to wait, also when it is right', async () => {
      const { username } = await identity.newUser();
      for (let guess = 0; guess < 10; guess++) await identity.accounts.logIn(username, 'wrong', '::1');
      const answer = await identity.accounts.logIn(username, PASSWORD, '::1');
      expect(answer).toEqual({ kind: 'tooManyAttempts', retryAfterMs: 6_000 });
    });
  });

  describe('imports', () => {
    const person = (nick: string): ImportedUser => ({
      id: asUserId(uuidv5(nick, NAMESPACE)),
      username: nick,
      displayName: nick,
      source: 'irc',
    });
    const namesOf = async (users: readonly ImportedUser[]): Promise<(string | undefined)[]> =>
      Promise.all(users.map(async ({ id }) => (await identity.profiles.get(id, id))?.username));

    it('takes more than a chunk, and the same again without changing anything', async () => {
      const people = Array.from({ length: IMPORTED_USERS_CHUNK_MAX + 1 }, (_, index) =>
        person(`many${index}`),
      );
      await identity.accounts.importUsers(people.slice(0, 700));
      await identity.accounts.importUsers(people);
      await identity.accounts.importUsers(people);
      const directory = new PostgresUserDirectory(store.database);
      expect((await directory.existing(people.map(({ id }) => id))).size).toBe(people.length);
    });

    it('keeps strange nicks, spells case twins apart, and keeps it so in a second run', async () => {
      await identity.newUser('taken');
      const people = [
        person('[Nick]^_`{|}'),
        person('Twin'),
        person('twin'),
        person('TAKEN'),
        person('"\\%_'),
      ];
      await identity.accounts.importUsers(people);
      const names = await namesOf(people);
      expect(names).toEqual([
        '[Nick]^_`{|}',
        'Twin',
        `twin~${people[2]?.id.slice(0, 8) ?? ''}`,
        `TAKEN~${people[3]?.id.slice(0, 8) ?? ''}`,
        '"\\%_',
      ]);
      await identity.accounts.importUsers([...people].reverse());
      expect(await namesOf(people)).toEqual(names);
    });

    it('spells a long taken name apart within the limit', async () => {
      const long = 'x'.repeat(64);
      await identity.newUser(long);
      const twin = person(long);
      await identity.accounts.importUsers([twin]);
      expect((await namesOf([twin]))[0]).toHaveLength(64);
    });
  });

  describe('profiles', () => {
    it('change only what is named', async () => {
      const { id } = await identity.newUser();
      await identity.profiles.change(id, { statusMessage: 'away', avatarFileId: id });
      const changed = await identity.profiles.change(id, { displayName: 'Ann', avatarFileId: null });
      expect(changed).toMatchObject({ displayName: 'Ann', statusMessage: 'away', avatarFileId: undefined });
      expect(await identity.profiles.change(asUserId(uuidv7()), { displayName: 'Nobody' })).toBeUndefined();
    });

    it('rename their owner, unless somebody else has the name', async () => {
      const [ann, bob] = [await identity.newUser(), await identity.newUser()];
      expect(await identity.profiles.change(ann.id, { username: 'Ann.Renamed' })).toMatchObject({
        username: 'Ann.Renamed',
      });
      expect(await identity.profiles.change(ann.id, { username: 'ann.renamed' })).toMatchObject({
        username: 'ann.renamed',
      });
      expect(await identity.profiles.change(bob.id, { username: 'ANN.renamed' })).toBe('usernameTaken');
      expect(await identity.accounts.logIn('ann.RENAMED', PASSWORD, '::1')).toMatchObject({ kind: 'known' });
      expect(await identity.accounts.logIn(ann.username, PASSWORD, '::1')).toEqual({ kind: 'unknown' });
    });

    it('hide the time last seen from others, when asked to', async () => {
      const [ann, bob] = [await identity.newUser(), await identity.newUser()];
      const { signInId } = await identity.signIns.open(ann.id);
      await identity.devices.seen({ userId: ann.id, deviceId: asDeviceId('phone'), signInId });
      expect((await identity.profiles.get(ann.id, bob.id))?.lastSeenAt).toBe(identity.clock.at);
      await identity.profiles.change(ann.id, { privacy: { lastSeen: 'nobody' } });
      expect((await identity.profiles.get(ann.id, bob.id))?.lastSeenAt).toBeUndefined();
      expect((await identity.profiles.get(ann.id, ann.id))?.lastSeenAt).toBe(identity.clock.at);
    });

    it('hide it from those who watch them, and while nobody can say who does', async () => {
      const [ann, bob] = [await identity.newUser(), await identity.newUser()];
      const stranger = asUserId(uuidv7());
      await identity.profiles.change(ann.id, { privacy: { lastSeen: 'nobody' } });
      const all = [ann.id, bob.id, stranger];
      const privacy = new PostgresLastSeenPrivacy(store.database);
      expect(await privacy.hiding(all)).toEqual(new Set([ann.id, stranger]));
      await identity.profiles.change(ann.id, { privacy: { lastSeen: 'everyone' } });
      await identity.profiles.change(bob.id, { privacy: { lastSeen: 'nobody' } });
      expect(await privacy.hiding(all)).toEqual(new Set([bob.id, stranger]));
      const query = jest.fn(() => Promise.reject(new StoreUnavailable('down')));
      expect(await new PostgresLastSeenPrivacy({ query }).hiding(all)).toEqual(new Set(all));
      const silent = new PostgresLastSeenPrivacy({ query: () => new Promise(() => undefined) });
      expect(await silent.hiding(all)).toEqual(new Set(all));
      expect(await silent.hiding([])).toEqual(new Set());
    });

    it('are found by the beginning of the name, page by page, each once', async () => {
      const expected = ['Zed', 'zed.a', 'ZED_b', 'zed-c', 'zedé'];
      for (const name of [...expected, 'zex', 'azed']) await identity.newUser(name);
      const viewer = await identity.newUser();
      const found: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await identity.profiles.search('zED', viewer.id, {
          limit: 2,
          ...(cursor === undefined ? {} : { cursor }),
        });
        if (page === 'badCursor') throw new Error(page);
        found.push(...page.items.map(({ username }) => username));
        cursor = page.nextCursor;
        expect(page.hasMore).toBe(cursor !== undefined);
      } while (cursor !== undefined);
      expect([...found].sort()).toEqual([...expected].sort());
    });

    it('take patterns for plain text', async () => {
      const { id } = await identity.newUser();
      for (const text of ['%', '_', '\\', "'"]) {
        const page = await identity.profiles.search(text, id, { limit: 10 });
        expect(page).toMatchObject({ hasMore: false });
      }
      expect(await identity.profiles.search('%', id, { limit: 10 })).toEqual({ items: [], hasMore: false });
    });

    it.each(['', 'x', 'u1.', 'u1.!!!', 'u1.AA', `u1.${Buffer.from('other').toString('base64url')}`])(
      'refuse a cursor that is cut, forged or of another search: %j',
      async (cursor) => {
        const { id } = await identity.newUser();
        expect(await identity.profiles.search('zed', id, { limit: 2, cursor })).toBe('badCursor');
      },
    );
  });

  it('knows who exists, and remembers it', async () => {
    const { id } = await identity.newUser();
    const stranger = asUserId(uuidv7());
    const directory = new PostgresUserDirectory(store.database);
    expect(await directory.existing([id, stranger])).toEqual(new Set([id]));
    const query = jest.spyOn(store.database, 'query');
    expect(await directory.existing([id])).toEqual(new Set([id]));
    expect(query).not.toHaveBeenCalled();
    query.mockRestore();
    expect(await directory.existing([])).toEqual(new Set());
  });

  it('keeps blocks, once each, in pages', async () => {
    const blocks = new Blocks(store.database, identity.clock);
    const [ann, bob, cid] = [await identity.newUser(), await identity.newUser(), await identity.newUser()];
    for (const other of [bob, bob, cid]) await blocks.add(ann.id, other.id);
    const first = await blocks.list(ann.id, { limit: 1 });
    expect(first).toMatchObject({ items: [{ id: bob.id }], hasMore: true, next: bob.id });
    const rest = await blocks.list(ann.id, { limit: 5, after: bob.id });
    expect(rest).toMatchObject({ items: [{ id: cid.id }], hasMore: false });
    await blocks.remove(ann.id, bob.id);
    await blocks.remove(ann.id, bob.id);
    expect((await blocks.list(ann.id, { limit: 5 })).items.map(({ id }) => id)).toEqual([cid.id]);
    expect((await blocks.list(bob.id, { limit: 5 })).items).toEqual([]);
  });
});
