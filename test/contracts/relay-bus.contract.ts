import type { RelayBus } from '../../src/application/ports/relay-bus';
import { RELAY_MESSAGE_BYTES_MAX } from '../../src/application/ports/relay-bus';
import { eventually } from '../support/sdk-device';

/** Several processes on one bus. */
export interface RelayBusFixture {
  readonly relay: RelayBus;
  readonly nodes: readonly [RelayBus, RelayBus];
  /** Resolves when what was said before can have been heard. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** What relays and nodes say to each other, whatever carries it. */
export function relayBusContract(name: string, open: () => Promise<RelayBusFixture>): void {
  describe(`RelayBus: ${name}`, () => {
    let fixture: RelayBusFixture;
    let heard: string[];
    let ends: (() => void)[];
    const note = (who: string) => (payload: Buffer) => {
      heard.push(`${who} ${payload.length > 100 ? payload.length : payload.toString('latin1')}`);
    };
    const comes = (...expected: string[]): Promise<unknown> =>
      eventually(expected.join(), () => expected.every((one) => heard.includes(one)));

    beforeEach(async () => {
      fixture = await open();
      heard = [];
      const [one, two] = fixture.nodes;
      ends = [
        one.onRelay(note('one')),
        two.onRelay(note('two')),
        fixture.relay.onNodes(0, note('relay of 0')),
        fixture.relay.onNodes(1, note('relay of 1')),
      ];
      await fixture.settled();
    });
    afterEach(async () => {
      for (const end of ends) end();
      await fixture.close();
    });

    it('brings what a relay says to one node to that node, in order and byte by byte', async () => {
      const { relay, nodes } = fixture;
      const bytes = Buffer.from([0, 255, 10, 128]);
      await relay.send(nodes[0].node, bytes);
      for (let n = 0; n < 100; n++) await relay.send(nodes[0].node, Buffer.from(String(n)));
      await comes('one 99');
      expect(heard).toEqual([
        `one ${bytes.toString('latin1')}`,
        ...Array.from({ length: 100 }, (_, n) => `one ${n}`),
      ]);
    });

    it('brings what a relay says to all to all, and what nodes say to the relays of that shard', async () => {
      const { relay, nodes } = fixture;
      relay.announce(Buffer.from('here'));
      nodes[0].tell(1, Buffer.from('hello'));
      nodes[1].tell(0, Buffer.from('ho'));
      await comes('one here', 'two here', 'relay of 1 hello', 'relay of 0 ho');
      expect(heard).toHaveLength(4);
    });

    it('says nothing to those who do not listen any more', async () => {
      const { relay, nodes } = fixture;
      ends[0]?.();
      ends[2]?.();
      await fixture.settled();
      await relay.send(nodes[0].node, Buffer.from('nobody'));
      nodes[0].tell(0, Buffer.from('nobody'));
      relay.announce(Buffer.from('all'));
      await comes('two all');
      await fixture.settled();
      expect(heard).toEqual(['two all']);
    });

    it('carries RELAY_MESSAGE_BYTES_MAX in one message, and no more', async () => {
      const { relay, nodes } = fixture;
      const more = Buffer.alloc(RELAY_MESSAGE_BYTES_MAX + 1);
      await relay.send(nodes[0].node, more).catch(() => undefined);
      nodes[0].tell(0, more);
      await relay.send(nodes[0].node, more.subarray(1));
      nodes[0].tell(0, more.subarray(1));
      await comes(`one ${RELAY_MESSAGE_BYTES_MAX}`, `relay of 0 ${RELAY_MESSAGE_BYTES_MAX}`);
      expect(heard).toHaveLength(2);
    });
  });
}
