import { Author, conversationOf, DeliveryWorld, userOf } from '../../test/support/delivery';
import { asDeviceId, asSeq } from '../kernel/ids';
import { ReceiptAggregator } from './receipts';

const ONE = conversationOf(1);
const PHONE = asDeviceId('phone');

describe('receipt.summary', () => {
  let world: DeliveryWorld;
  let author: Author;
  let receipts: ReceiptAggregator;

  beforeEach(async () => {
    world = new DeliveryWorld();
    author = new Author(world, ONE);
    receipts = new ReceiptAggregator(world.executor, world.clock, world.metrics);
    await world.feed.start();
  });
  afterEach(async () => {
    receipts.stop();
    await world.stop();
  });

  const start = (members: number) => author.start(Array.from({ length: members }, (_, n) => n));
  const told = async (count: number, hints: readonly unknown[]): Promise<void> => {
    while (hints.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it('tells the authors of large groups how many have received and read their newest message', async () => {
    const [ann, annsDesk, ben] = [
      world.connect(userOf(0)),
      world.connect(userOf(0), 'desk'),
      world.connect(userOf(1)),
    ];
    await start(40);
    await author.say(0);
    await author.say(1);
    await author.say(0);
    for (let n = 5; n < 20; n++) await receipts.delivered(userOf(n), PHONE, { [ONE]: 2 });
    await receipts.delivered(userOf(5), asDeviceId('desk'), { [ONE]: 2 });
    for (let n = 18; n < 24; n++) await receipts.read(userOf(n), ONE, asSeq(2));
    await receipts.flush();
    await world.settle();
    // One of the two events may be summed up before the other is there: what counts is the last word.
    await told(1, ann.hints);
    await told(1, ben.hints);
    await receipts.read(userOf(30), ONE, asSeq(3));
    await receipts.flush();
    await world.settle();
    // Delivered to 15 and read by 6, two of them the same; and by both authors, who have sent at or after it.
    const last = { conversationId: ONE, members: 40 };
    const lastOf = (hints: readonly unknown[]): unknown => hints.at(-1);
    while (!JSON.stringify(lastOf(ann.hints)).includes('"seq":3'))
      await told(ann.hints.length + 1, ann.hints);
    expect(lastOf(ann.hints)).toEqual({
      event: 'receipt.summary',
      data: { ...last, seq: 3, delivered: 2, read: 2 },
    });
    expect(lastOf(annsDesk.hints)).toEqual(lastOf(ann.hints));
    expect(lastOf(ben.hints)).toEqual({
      event: 'receipt.summary',
      data: { ...last, seq: 2, delivered: 15 + 6 - 2 + 3, read: 6 + 3 },
    });
    // Nobody is told of the cursors themselves, but those whose own they are.
    expect(ann.events.map(({ event }) => event)).not.toContain('message.read');
    expect(ben.events.map(({ event }) => event)).not.toContain('message.delivered');
  });

  it('leaves small groups to the receipts themselves', async () => {
    const ann = world.connect(userOf(0));
    await start(32);
    await author.say(0);
    await receipts.read(userOf(1), ONE, asSeq(1));
    await receipts.flush();
    await world.settle();
    expect(ann.events.map(({ event }) => event)).toContain('message.read');
    expect(ann.hints).toEqual([]);
  });
});
