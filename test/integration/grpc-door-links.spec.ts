import {
  BACKWARDS,
  binaryEvent,
  jsonEvent,
  type EventStoreDBClient,
  type ResolvedEvent,
} from '@eventstore/db-client';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const link = (to: string) => binaryEvent({ type: '$>', data: Buffer.from(to) });
const names = ({ event, link: by }: ResolvedEvent): string[] =>
  [event, by].map((one) => (one === undefined ? '' : `${one.streamId}${one.revision}`));

describe('links by the gRPC door', () => {
  let door: TestDoor;
  let client: EventStoreDBClient;
  beforeEach(async () => {
    door = await openTestDoor();
    client = door.client;
    await client.appendToStream(
      'source',
      [0, 1].map((n) => jsonEvent({ type: 'Said', data: { n } })),
    );
    await client.appendToStream('gone', jsonEvent({ type: 'Said', data: {} }));
    await client.deleteStream('gone');
    const targets = [
      '1@source',
      '0@gone',
      '9@source',
      'nonsense',
      `0@${'x'.repeat(2_000)}`,
      '0@links',
      '0@so@so',
    ];
    await client.appendToStream('links', targets.map(link));
    await client.appendToStream('so@so', jsonEvent({ type: 'Said', data: {} }));
  });
  afterEach(() => door.close());

  const all = async (read: AsyncIterable<ResolvedEvent>, count = Infinity): Promise<string[][]> => {
    const seen: string[][] = [];
    for await (const found of read) if (seen.push(names(found)) >= count) break;
    return seen;
  };
  const resolved = [
    ['source1', 'links0'],
    ['', 'links1'],
    ['', 'links2'],
    ['', 'links3'],
    ['', 'links4'],
    // One step and no further: what a link leads to may be a link.
    ['links0', 'links5'],
    ['so@so0', 'links6'],
  ];
  const resolveLinkTos = true;

  it('are followed when that is asked for, and are events like others when not', async () => {
    expect(await all(client.readStream('links', { resolveLinkTos }))).toEqual(resolved);
    const backwards = client.readStream('links', {
      resolveLinkTos,
      direction: BACKWARDS,
      fromRevision: 'end',
    });
    expect(await all(backwards)).toEqual(resolved.toReversed());
    const plain = resolved.map(([, by]) => [by, '']);
    expect(await all(client.readStream('links'))).toEqual(plain);
  });

  it('keep their own position, by which one reads on', async () => {
    for await (const { link: by, event, commitPosition } of client.readAll({ resolveLinkTos })) {
      expect(commitPosition).toBe((by ?? event)?.position.commit);
    }
    const fromAll = await all(client.readAll({ resolveLinkTos }));
    expect(fromAll).toEqual(expect.arrayContaining(resolved));
  });

  it('are followed by subscriptions too', async () => {
    expect(await all(client.subscribeToStream('links', { resolveLinkTos }), 7)).toEqual(resolved);
    const fromAll = await all(client.subscribeToAll({ resolveLinkTos }), door.first + 12);
    expect(fromAll).toEqual(expect.arrayContaining(resolved));
  });
});
