import { connectAll } from './crowd';
import type { Device } from './device';
import type { Person } from './people';

/**
 * Sockets of a generator process of their own: one process may open no more than some 20,000. Told by its parent whom
 * to connect where; says when they are there, and how many are still open when it is asked.
 */
export type ToCrowd =
  | { readonly kind: 'open'; readonly port: number; readonly people: readonly Person[] }
  | { readonly kind: 'count' };
export type FromCrowd = { readonly kind: 'open' | 'count'; readonly sockets: number };

let devices: readonly Device[] = [];

process.on('message', (message: ToCrowd) => {
  void answer(message);
});
process.on('disconnect', () => process.exit(0));

async function answer(message: ToCrowd): Promise<void> {
  if (message.kind === 'open') devices = await connectAll(message.port, message.people, {});
  const sockets = devices.filter(({ isOpen }) => isOpen).length;
  process.send?.({ kind: message.kind, sockets } satisfies FromCrowd);
}
