import { Device, type DeviceListener } from './device';
import type { Person } from './people';

/** Sockets that open at the same time. */
const OPENING_MAX = 64;

/** Runs `work` over all items, `atOnce` of them side by side. */
export async function sideBySide<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, n: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let n = next++; n < items.length; n = next++) results[n] = await work(items[n] as T, n);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  return results;
}

/** One device for each person, connected and authenticated. */
export const connectAll = (
  port: number,
  people: readonly Person[],
  listener: DeviceListener,
): Promise<Device[]> => sideBySide(people, OPENING_MAX, (person) => Device.open(port, person, listener));

/** The direct conversation of each device with the next one, begun by a first message: 0 and 1, 2 and 3, … */
export function beginPairs(devices: readonly Device[]): Promise<string[]> {
  const pairs = devices.filter((_, n) => n % 2 === 0).map((one, n) => [one, devices[2 * n + 1]] as const);
  return sideBySide(pairs, OPENING_MAX, async ([one, other], n) => {
    if (other === undefined) throw new Error('pairs need an even number of devices');
    const { answer } = await one.requestPages('message.send', {
      to: other.person.userId,
      clientMessageId: `begin-${n}`,
      content: { type: 'text', body: 'hello' },
    });
    if (answer.event !== 'message.ack') throw new Error(`a first message: ${JSON.stringify(answer)}`);
    return answer.data?.['conversationId'] as string;
  });
}
