import { PRESENCE_IDLE_MS } from '../application/ports/presence';
import { GATEWAY_LIMITS_DEFAULT } from './gateway-limits';
import { Session, type SessionHost } from './session';

describe('a session that nobody uses', () => {
  const setUp = () => {
    const time = { now: 1_000 };
    const beats: boolean[] = [];
    const host = {
      limits: GATEWAY_LIMITS_DEFAULT,
      now: () => time.now,
      alive: (session: Session) => beats.push(session.isIdle),
    } as unknown as SessionHost;
    const wire = { on: () => wire, once: () => wire } as never;
    return { time, beats, session: new Session({} as never, wire, host) };
  };

  it('is idle after five minutes, and not before', () => {
    const { time, session } = setUp();
    time.now += PRESENCE_IDLE_MS - 1;
    expect(session.isIdle).toBe(false);
    time.now += 1;
    expect(session.isIdle).toBe(true);
  });

  it('tells at once that somebody is back, and only then', () => {
    const { time, beats, session } = setUp();
    session.used();
    time.now += PRESENCE_IDLE_MS - 1;
    session.used();
    expect(beats).toEqual([]);
    time.now += PRESENCE_IDLE_MS;
    session.used();
    expect(beats).toEqual([false]);
    session.used();
    expect(beats).toEqual([false]);
  });
});
