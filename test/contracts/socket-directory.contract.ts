import { randomUUID } from 'node:crypto';
import type { SessionKey } from '../../src/application/ports/presence';
import { SOCKET_ENTRY_TTL_MS, type SocketDirectory } from '../../src/application/ports/socket-directory';
import { asDeviceId, asUserId, type UserId } from '../../src/kernel/ids';

/** Of the directories under test: others may be on other nodes. */
export const SOCKETS_MAX = 3;

export interface OpenedDirectory {
  readonly directory: SocketDirectory;
  /** Lets time pass, without waiting for it. */
  advance(ms: number): void;
  settled(): Promise<void>;
  close(): Promise<void>;
}

let sessions = 0;
export const sessionOf = (userId: UserId, device: string): SessionKey => ({
  userId,
  deviceId: asDeviceId(device),
  sessionId: `session-${++sessions}-${randomUUID()}`,
});
export const newUser = (): UserId => asUserId(randomUUID());

/** What every adapter of SocketDirectory does. */
export function socketDirectoryContract(name: string, open: () => Promise<OpenedDirectory>): void {
  describe(`socket directory: ${name}`, () => {
    let opened: OpenedDirectory;
    let directory: SocketDirectory;
    let displaced: SessionKey[];
    const ann = newUser();
    const session = (device: string, userId = ann): SessionKey => sessionOf(userId, device);

    beforeEach(async () => {
      opened = await open();
      directory = opened.directory;
      displaced = [];
      directory.onDisplaced((one) => displaced.push(one));
    });
    afterEach(async () => {
      await opened.close();
    });

    it('registers so many sockets of a user, and no more', async () => {
      const bob = newUser();
      const mine = ['a', 'b', 'c'].map((device) => session(device, bob));
      for (const one of mine) expect(await directory.register(one, 0)).toBe('registered');
      expect(await directory.register(session('d', bob), 0)).toBe('tooMany');
      expect(await directory.register(session('d'), 0)).toBe('registered');
      await directory.unregister(mine[0] as SessionKey);
      expect(await directory.register(session('d', bob), 0)).toBe('registered');
    });

    it('displaces the older socket of a device, also when the user has all they may', async () => {
      const cid = newUser();
      const [older, newer] = [session('a', cid), session('a', cid)];
      for (const one of [older, session('b', cid), session('c', cid)]) await directory.register(one, 0);
      expect(await directory.register(newer, 0)).toBe('registered');
      await opened.settled();
      expect(displaced).toEqual([older]);
      expect(await directory.refresh(newer)).toBe('registered');
    });

    it('knows the newer socket of a device by its age, not by who comes later', async () => {
      const gus = newUser();
      const [givenUp, newer] = [session('a', gus), session('a', gus)];
      expect(await directory.register(newer, 200)).toBe('registered');
      expect(await directory.register(givenUp, 12_000)).toBe('displaced');
      await opened.settled();
      expect(displaced).toEqual([]);
      expect(await directory.refresh(newer)).toBe('registered');
      expect(await directory.register(session('a', gus), 0)).toBe('registered');
      await opened.settled();
      expect(displaced).toEqual([newer]);
    });

    it('forgets an entry that nobody refreshes', async () => {
      const dan = newUser();
      const kept = session('a', dan);
      for (const one of [kept, session('b', dan), session('c', dan)]) await directory.register(one, 0);
      opened.advance(SOCKET_ENTRY_TTL_MS - 1_000);
      expect(await directory.refresh(kept)).toBe('registered');
      expect(await directory.register(session('d', dan), 0)).toBe('tooMany');
      opened.advance(2_000);
      expect(await directory.register(session('d', dan), 0)).toBe('registered');
      expect(await directory.register(session('e', dan), 0)).toBe('registered');
      expect(await directory.register(session('f', dan), 0)).toBe('tooMany');
    });

    it('may be told twice that a socket is gone, and of one that never was', async () => {
      const eve = newUser();
      const one = session('a', eve);
      await directory.unregister(one);
      await directory.register(one, 0);
      await directory.unregister(one);
      await directory.unregister(one);
      expect(displaced).toEqual([]);
    });

    it('tells nobody who has stopped listening', async () => {
      const heard: SessionKey[] = [];
      directory.onDisplaced((one) => heard.push(one))();
      const fay = newUser();
      await directory.register(session('a', fay), 0);
      await directory.register(session('a', fay), 0);
      await opened.settled();
      expect([heard.length, displaced.length]).toEqual([0, 1]);
    });
  });
}
