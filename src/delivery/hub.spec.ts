import { configOf, RecordingConnection, userOf } from '../../test/support/delivery';
import { asDeviceId } from '../kernel/ids';
import { Hub } from './hub';

const ANN = userOf(1);
const BOB = userOf(2);

describe('Hub', () => {
  let hub: Hub;
  beforeEach(() => {
    hub = new Hub(configOf({ socketsPerUserMax: 3 }));
  });

  it('knows the connections of each user', () => {
    const phone = new RecordingConnection(ANN, 'phone');
    const desk = new RecordingConnection(ANN, 'desk');
    const other = new RecordingConnection(BOB);
    for (const each of [phone, desk, other]) expect(hub.register(each, 's')).toBe('registered');
    expect(hub.connectionsOf(ANN)).toEqual([phone, desk]);
    expect(hub.size).toBe(3);
    expect([...hub.users()]).toEqual([ANN, BOB]);
    hub.unregister(phone);
    hub.unregister(phone);
    hub.unregister(other);
    expect(hub.connectionsOf(ANN)).toEqual([desk]);
    expect(hub.isConnected(BOB)).toBe(false);
    expect([...hub.users()]).toEqual([ANN]);
    expect(hub.size).toBe(1);
  });

  it('lets the newest connection of a device win, and its late goodbye change nothing', () => {
    const older = new RecordingConnection(ANN, 'phone');
    const newer = new RecordingConnection(ANN, 'phone');
    hub.register(older, 's');
    hub.register(newer, 's');
    expect(older.closed).toBe('signedOut');
    expect(newer.closed).toBeUndefined();
    hub.unregister(older);
    expect(hub.connectionsOf(ANN)).toEqual([newer]);
    expect(hub.has(older)).toBe(false);
    expect(hub.has(newer)).toBe(true);
  });

  it('takes no connection of a device that was opened before the one it has', () => {
    const [older, newer] = [new RecordingConnection(ANN, 'phone'), new RecordingConnection(ANN, 'phone')];
    const desk = new RecordingConnection(ANN, 'desk');
    for (const one of [desk, newer]) hub.register(one, 's');
    expect(hub.register(older, 's')).toBe('displaced');
    expect(hub.connectionsOf(ANN)).toEqual([desk, newer]);
    expect([newer.closed, hub.size]).toEqual([undefined, 2]);
    hub.unregister(newer);
    expect(hub.register(older, 's')).toBe('registered');
  });

  it('does not close a connection that registers twice', () => {
    const phone = new RecordingConnection(ANN, 'phone');
    hub.register(phone, 's');
    expect(hub.register(phone, 's')).toBe('registered');
    expect(phone.closed).toBeUndefined();
    expect(hub.size).toBe(1);
  });

  it('takes socketsPerUserMax of a user and no more, but lets a device reconnect', () => {
    const devices = ['a', 'b', 'c'].map((name) => new RecordingConnection(ANN, name));
    for (const device of devices) expect(hub.register(device, 's')).toBe('registered');
    expect(hub.register(new RecordingConnection(ANN, 'd'), 's')).toBe('tooMany');
    expect(hub.size).toBe(3);
    expect(hub.register(new RecordingConnection(ANN, 'a'), 's')).toBe('registered');
    expect(hub.register(new RecordingConnection(BOB, 'd'), 's')).toBe('registered');
  });

  it('signs out by device, by sign-in, or the whole user, and nobody else', () => {
    const phone = new RecordingConnection(ANN, 'phone');
    const desk = new RecordingConnection(ANN, 'desk');
    const tablet = new RecordingConnection(ANN, 'tablet');
    const other = new RecordingConnection(BOB, 'phone');
    hub.register(phone, 'one');
    hub.register(desk, 'two');
    hub.register(tablet, 'two');
    hub.register(other, 'one');
    hub.signOut(ANN, { deviceId: asDeviceId('phone') });
    expect([phone, desk, tablet, other].map(({ closed }) => closed !== undefined)).toEqual([
      true,
      false,
      false,
      false,
    ]);
    hub.signOut(ANN, { signInId: 'one' });
    expect(hub.connectionsOf(ANN)).toEqual([desk, tablet]);
    hub.signOut(ANN, { signInId: 'two' });
    expect(hub.connectionsOf(ANN)).toEqual([]);
    expect(desk.closed).toBe('signedOut');
    expect(other.closed).toBeUndefined();
    hub.signOut(BOB, {});
    expect(hub.size).toBe(0);
  });

  it('closes everybody', () => {
    const all = [ANN, BOB].map((userId) => new RecordingConnection(userId));
    for (const each of all) hub.register(each, 's');
    hub.closeAll('draining');
    expect(all.map(({ closed }) => closed)).toEqual(['draining', 'draining']);
    expect(hub.size).toBe(0);
  });
});
