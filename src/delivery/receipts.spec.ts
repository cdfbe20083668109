import { Author, conversationOf, DeliveryWorld, userOf } from '../../test/support/delivery';
import type { Outcome } from '../application/outcome';
import type { Recorded } from '../domain/conversation/events';
import { asDeviceId, asSeq } from '../kernel/ids';
import {
  CURSORS_PER_EVENT_MAX,
  LARGE_WINDOW_MS,
  RECEIPT_ATTEMPTS_MAX,
  ReceiptAggregator,
  SMALL_WINDOW_MS,
} from './receipts';

const ONE = conversationOf(1);
const PHONE = asDeviceId('phone');
const DESK = asDeviceId('desk');
const DOWN: Outcome = { kind: 'unavailable', detail: 'down', retryAfterMs: 1 };

describe('ReceiptAggregator', () => {
  let world: DeliveryWorld;
  let author: Author;
  let receipts: ReceiptAggregator;

  beforeEach(() => {
    world = new DeliveryWorld();
    author = new Author(world, ONE);
    receipts = new ReceiptAggregator(world.executor, world.clock, world.metrics);
  });
  afterEach(async () => {
    receipts.stop();
    await world.stop();
  });

  const written = async (): Promise<Recorded['event'][]> =>
    (await world.recorded(ONE))
      .map(({ event }) => event)
      .filter(({ type }) => type === 'MessageDelivered' || type === 'MessageRead');
  const elapse = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  it('writes what gathered in the window as one event, each cursor at its furthest', async () => {
    await author.start([0, 1, 2]);
    for (let n = 0; n < 3; n++) await author.say(0);
    expect(await receipts.delivered(userOf(1), PHONE, { [ONE]: 3 })).toBeUndefined();
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 2 });
    await receipts.delivered(userOf(1), DESK, { [ONE]: 2 });
    await receipts.delivered(userOf(2), PHONE, { [ONE]: 3 });
    await receipts.read(userOf(1), ONE, asSeq(1));
    await receipts.read(userOf(1), ONE, asSeq(3));
    expect(await written()).toEqual([]);
    await receipts.flush();
    expect(await written()).toEqual([
      {
        type: 'MessageDelivered',
        by: userOf(1),
        audience: 'everyone',
        cursors: [
          { userId: userOf(1), deviceId: PHONE, upTo: 3 },
          { userId: userOf(1), deviceId: DESK, upTo: 2 },
          { userId: userOf(2), deviceId: PHONE, upTo: 3 },
        ],
      },
      {
        type: 'MessageRead',
        by: userOf(1),
        audience: 'everyone',
        cursors: [{ userId: userOf(1), upTo: 3 }],
      },
    ]);
    expect(receipts.size).toBe(0);
  });

  it.each([
    ['small', 3, SMALL_WINDOW_MS],
    ['large', 33, LARGE_WINDOW_MS],
  ])('ends the window of a %s conversation by itself', async (_name, members, windowMs) => {
    await author.start(Array.from({ length: members }, (_, n) => n));
    await author.say(0);
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 1 });
    await elapse(windowMs * 0.6);
    expect(await written()).toEqual([]);
    await elapse(windowMs * 0.8);
    expect(await written()).toHaveLength(1);
    expect(receipts.size).toBe(0);
  });

  it('takes the cursors of a frame all or none', async () => {
    const other = new Author(world, conversationOf(2));
    await author.start([0, 1]);
    await author.say(0);
    await other.start([0, 2]);
    const frames = [
      [{ [ONE]: 1, [conversationOf(2)]: 0 }, 'not_found', undefined],
      [{ [ONE]: 1, [conversationOf(9)]: 0 }, 'not_found', undefined],
      [{ [ONE]: 2 }, 'invalid_input', [{ field: `cursors.${ONE}` }]],
    ] as const;
    for (const [cursors, code, errors] of frames) {
      const refusal = await receipts.delivered(userOf(1), PHONE, cursors);
      expect(refusal).toMatchObject({ code, ...(errors === undefined ? {} : { errors }) });
    }
    expect(await receipts.read(userOf(1), ONE, asSeq(2))).toMatchObject({ errors: [{ field: 'upTo' }] });
    expect(await receipts.read(userOf(2), ONE, asSeq(1))).toMatchObject({ code: 'not_found' });
    expect(receipts.size).toBe(0);
  });

  it('writes nothing for what is known, nor for the confirmation of a confirmation', async () => {
    await author.start([0, 1]);
    await author.say(0);
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 1 });
    await receipts.read(userOf(1), ONE, asSeq(1));
    await receipts.flush();
    const head = (await world.recorded(ONE)).length - 1;
    expect(head).toBe(3);
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 1 });
    await receipts.delivered(userOf(1), PHONE, { [ONE]: head });
    await receipts.read(userOf(1), ONE, asSeq(head));
    await receipts.read(userOf(0), ONE, asSeq(head));
    expect(receipts.size).toBe(0);
    await author.say(0);
    await receipts.delivered(userOf(1), PHONE, { [ONE]: head + 1 });
    expect(receipts.size).toBe(1);
  });

  it('ends the window at CURSORS_PER_EVENT_MAX cursors', async () => {
    await author.start([0, 1]);
    await author.say(0);
    const execute = jest.spyOn(world.executor, 'execute');
    for (let n = 1; n < CURSORS_PER_EVENT_MAX; n++) {
      await receipts.delivered(userOf(1), asDeviceId(`device-${n}`), { [ONE]: 1 });
      clearTimeoutOfWindow(receipts);
    }
    expect(execute).not.toHaveBeenCalled();
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 1 });
    expect(execute).toHaveBeenCalledTimes(1);
    await receipts.flush();
    expect((await written())[0]).toHaveProperty('cursors.length', CURSORS_PER_EVENT_MAX);
  });

  it('tries again while the log is away, then drops the cursors and counts them', async () => {
    await author.start([0, 1]);
    await author.say(0);
    const execute = jest.spyOn(world.executor, 'execute');
    execute.mockResolvedValueOnce(DOWN).mockResolvedValueOnce(DOWN);
    await receipts.read(userOf(1), ONE, asSeq(1));
    await receipts.flush();
    expect(execute).toHaveBeenCalledTimes(3);
    expect(await written()).toHaveLength(1);
    execute.mockClear();
    for (let n = 0; n < RECEIPT_ATTEMPTS_MAX; n++) execute.mockResolvedValueOnce(DOWN);
    await receipts.delivered(userOf(1), PHONE, { [ONE]: 1 });
    receipts.stop();
    await receipts.flush();
    const { text } = await world.metrics.expose();
    expect(text).toContain('parley_receipt_cursors_dropped_total 1');
    expect(receipts.size).toBe(0);
  });

  it('gathers what comes during a write for the next event', async () => {
    await author.start([0, 1, 2]);
    await author.say(0);
    let write = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      write = resolve;
    });
    const execute = world.executor.execute.bind(world.executor);
    jest.spyOn(world.executor, 'execute').mockImplementationOnce(async (command) => {
      await gate;
      return execute(command);
    });
    await receipts.read(userOf(1), ONE, asSeq(1));
    const flushed = receipts.flush();
    await receipts.read(userOf(2), ONE, asSeq(1));
    write();
    await flushed;
    expect((await written()).map((event) => 'cursors' in event && event.cursors)).toEqual([
      [{ userId: userOf(1), upTo: 1 }],
      [{ userId: userOf(2), upTo: 1 }],
    ]);
  });
});

/** Filling a window takes longer than the window: what is counted here is cursors, not time. */
function clearTimeoutOfWindow(receipts: ReceiptAggregator): void {
  const { pending } = receipts as unknown as { pending: Map<unknown, { timer: NodeJS.Timeout }> };
  for (const { timer } of pending.values()) clearTimeout(timer);
}
