import { setImmediate as afterTurn } from 'node:timers/promises';
import { GATEWAY_LIMITS_DEFAULT } from './gateway-limits';
import { BINARY, Lane, type Inbound } from './lane';

const LIMITS = { ...GATEWAY_LIMITS_DEFAULT, framesWaitingMax: 3, inboundBytesMax: 10, laneTurnFramesMax: 2 };

function setUp() {
  const handled: string[] = [];
  const reading: string[] = [];
  const turns: (() => void)[] = [];
  const lane = new Lane(
    {
      handle: async (message: Inbound) => {
        await new Promise<void>((resolve) => turns.push(resolve));
        handled.push(message === BINARY ? 'binary' : message.toString());
      },
      pauseReading: () => reading.push('paused'),
      resumeReading: () => reading.push('resumed'),
    },
    LIMITS,
  );
  const accept = (...texts: string[]): void => {
    for (const text of texts) lane.accept(Buffer.from(text));
  };
  /** Lets the message in hand end. */
  const turn = async (): Promise<void> => {
    turns.shift()?.();
    await afterTurn();
    await afterTurn();
  };
  return { lane, handled, reading, turns, accept, turn };
}

describe('Lane', () => {
  it('handles one message after another', async () => {
    const { lane, handled, turns, accept, turn } = setUp();
    accept('a', 'b');
    lane.accept(BINARY);
    expect(turns).toHaveLength(1);
    for (let n = 0; n < 3; n++) {
      await turn();
      expect(turns.length).toBeLessThanOrEqual(1);
    }
    expect(handled).toEqual(['a', 'b', 'binary']);
    accept('c');
    await turn();
    expect(handled.at(-1)).toBe('c');
  });

  it('stops reading at the limit of messages, and reads again below it', async () => {
    const { lane, reading, accept, turn } = setUp();
    accept('in hand', '1', '2');
    expect(reading).toEqual([]);
    accept('3');
    expect(reading).toEqual(['paused']);
    expect(lane.paused).toBe(true);
    accept('4');
    await turn();
    expect(reading).toEqual(['paused']);
    await turn();
    expect(reading).toEqual(['paused', 'resumed']);
  });

  it('stops reading at the limit of bytes', async () => {
    const { reading, accept, turn } = setUp();
    accept('in hand', 'x'.repeat(9));
    expect(reading).toEqual([]);
    accept('x');
    expect(reading).toEqual(['paused']);
    await turn();
    expect(reading).toEqual(['paused', 'resumed']);
  });

  it('forgets what waits when it is closed', async () => {
    const { lane, handled, accept, turn } = setUp();
    accept('a', 'b');
    lane.close();
    accept('c');
    await turn();
    await turn();
    expect(handled).toEqual(['a']);
  });

  it('begins with work that goes before any message', async () => {
    const { lane, handled, accept, turn } = setUp();
    let done = (): void => undefined;
    lane.begin(() => new Promise((resolve) => (done = resolve)));
    accept('a', 'b');
    await turn();
    expect(handled).toEqual([]);
    done();
    await afterTurn();
    await turn();
    await turn();
    expect(handled).toEqual(['a', 'b']);
  });
});
