import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { READ_EVENTS_MAX } from '../../src/application/ports/event-log';
import { conversationStream } from '../../src/domain/conversation/streams';
import { asConversationId } from '../../src/kernel/ids';
import { connectAll } from '../load/crowd';
import { Flow } from '../load/flow';
import { makeGroup } from '../load/groups';
import type { Server } from '../load/server';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';

const MEMBERS = [2, 32, 1_000] as const;
const BODY_BYTES = 64;
const MESSAGES = 20;
const MESSAGES_QUICK = 5;
/** Long enough for all receipts of one message to be written before the next one is sent. */
const INTERVAL_MS = 2_500;
const RECEIPT = /^Message(Delivered|Read)$/;

interface Written {
  readonly receipts: number;
  readonly bytes: number;
}

/** What the log got besides the messages, read from the store when the server has gone. */
async function receiptsIn(server: Server, conversationId: string): Promise<Written> {
  await server.halt();
  const store = await EmbeddedEventStore.open({ path: join(server.dataDir, 'events') });
  try {
    let [receipts, bytes] = [0, 0];
    const stream = conversationStream(asConversationId(conversationId));
    for (let from = 0; ;) {
      const page = await store.readStream(stream, { from, limit: READ_EVENTS_MAX });
      if (page.kind !== 'events') throw new Error(`the conversation is ${page.kind}`);
      for (const event of page.events.filter(({ type }) => RECEIPT.test(type))) {
        receipts++;
        bytes += event.size;
      }
      if (!page.more) return { receipts, bytes };
      from += page.events.length;
    }
  } finally {
    await store.close();
  }
}

/** Everybody is online and confirms; what confirming a message leaves in the log. */
async function receipts({ quick, startServer }: Surroundings, members: number): Promise<Metrics> {
  const server = await startServer();
  const people = await server.people(members);
  const id = await makeGroup(server.port, people);
  const flow = new Flow({ bodyBytes: BODY_BYTES, receipts: 'gathered' });
  const devices = await connectAll(server.port, people, flow);
  const [sender] = devices;
  if (sender === undefined) throw new Error('nobody is there');
  const messages = quick ? MESSAGES_QUICK : MESSAGES;
  for (let n = 0; n < messages; n++) {
    flow.send(sender, id, performance.now());
    await sleep(INTERVAL_MS);
  }
  for (const device of devices) device.destroy();
  const written = await receiptsIn(server, id);
  return {
    members,
    'devices missed': messages * (members - 1) - flow.measured.delivered,
    'receipt events/message': written.receipts / messages,
    'receipt bytes/message': written.bytes / messages,
  };
}

const caseOf = (members: number): Case => ({
  name: `receipts of ${members}`,
  run: (surroundings) => receipts(surroundings, members),
});

export const receiptsScenario: Scenario = {
  name: 'receipts',
  about: 'everybody in a group is online and confirms: events and bytes in the log for each message',
  cases: MEMBERS.map(caseOf),
};
