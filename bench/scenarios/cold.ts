import { asUserId } from '../../src/kernel/ids';
import { Device } from '../load/device';
import { Latencies } from '../load/histogram';
import { newUserIds } from '../load/people';
import type { Case, Metrics, Scenario, Surroundings } from '../scenario';
import { storeMessages, writePast } from '../seed/written-past';
import { WrittenConversation } from '../seed/written-conversation';
import { v7 } from 'uuid';

const EVENTS = 1_000_000;
const EVENTS_QUICK = 20_000;
const RESTARTS = 5;
const RESTARTS_QUICK = 2;
const WARM_SENDS = 50;
const BODY = 'It is the sort of thing that people write to each other, neither long nor short.';
/** Connecting has warmed the process up by then. */
const SETTLE_MS = 500;

/**
 * A send into a long conversation that the process has never looked at. A past that was written without a server has
 * no snapshot: the first send of all folds everything, and leaves one. From then on a start finds it.
 */
async function cold({ quick, startServer }: Surroundings, events: number): Promise<Metrics> {
  const ids = newUserIds(3).map(asUserId);
  const written = new WrittenConversation(ids, Date.now() - events);
  const server = await startServer({
    prepare: async (dataDir) => {
      await writePast(dataDir, (log) => storeMessages(log, written, events - 1, BODY));
    },
    // Read models of a million events would be filled beside it; a send does not ask them.
    environment: { ROLES: 'gateway,worker' },
  });
  const [person] = await server.accounts(ids);
  if (person === undefined) throw new Error('nobody is there');
  const warmUp = new WrittenConversation(ids, Date.now());
  const send = async (device: Device, to: { to: string } | { conversationId: string }): Promise<number> => {
    const content = { type: 'text', body: BODY };
    const askedAt = performance.now();
    const answer = await device.request('message.send', { ...to, clientMessageId: v7(), content });
    const ms = performance.now() - askedAt;
    if (answer.event !== 'message.ack') throw new Error(`a send: ${JSON.stringify(answer)}`);
    return ms;
  };
  const open = (): Promise<Device> => Device.open(server.port, person, {});
  const conversation = { conversationId: written.id };
  const withoutSnapshot = await send(await open(), conversation);
  const [coldSends, warmSends] = [new Latencies(), new Latencies()];
  const restarts = quick ? RESTARTS_QUICK : RESTARTS;
  for (let n = 0; n < restarts; n++) {
    await server.restart();
    const device = await open();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    // Into another conversation first: what is measured is the load, not code that runs for the first time.
    for (let warming = 0; warming < WARM_SENDS; warming++) await send(device, { to: warmUp.member(1) });
    coldSends.add(await send(device, conversation));
    for (let warm = 0; warm < WARM_SENDS; warm++) warmSends.add(await send(device, conversation));
    device.destroy();
  }
  return {
    events,
    'first send, without a snapshot, ms': withoutSnapshot,
    ...coldSends.metrics('load and send'),
    ...warmSends.metrics('send'),
  };
}

export const coldOf = (events: number): Case => ({
  name: `cold ${events} events`,
  run: (surroundings) => cold(surroundings, events),
});

export const coldScenario: Scenario = {
  name: 'cold',
  about: 'a send into a conversation of a million events that the process has not looked at yet',
  cases: [
    {
      name: 'cold',
      run: (surroundings) => cold(surroundings, surroundings.quick ? EVENTS_QUICK : EVENTS),
    },
  ],
};
