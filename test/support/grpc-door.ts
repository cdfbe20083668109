import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EventStoreDBClient } from '@eventstore/db-client';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor, type DoorOptions } from '../../embedded/grpc/server';

export interface TestDoor {
  readonly store: EmbeddedEventStore;
  readonly port: number;
  /** Position of the first event that is not the node's own. */
  readonly first: number;
  readonly warnings: readonly string[];
  /** Of the official client, as any outside consumer has it. */
  readonly client: EventStoreDBClient;
  /** Revisions that a read of the stream gives; none when it is not there. */
  revisions(stream: string): Promise<number[]>;
  /** Asks until it is so. */
  until(so: () => Promise<boolean>): Promise<void>;
  /** As when the node ends; the store stays open. */
  closeDoor(): Promise<void>;
  close(): Promise<void>;
}

/** An engine in a folder of its own, its gRPC door on a free port, and a client of it. */
export async function openTestDoor(options: Partial<DoorOptions> = {}): Promise<TestDoor> {
  const path = await mkdtemp(join(tmpdir(), 'parley-door-'));
  const store = await EmbeddedEventStore.open({ path });
  const warnings: string[] = [];
  const door = await openGrpcDoor(store, { port: 0, warn: (text) => warnings.push(text), ...options });
  const client = EventStoreDBClient.connectionString(`esdb://127.0.0.1:${door.port}?tls=false`);
  return {
    store,
    port: door.port,
    first: store.head + 1,
    warnings,
    client,
    revisions: async (stream) => {
      const page = await store.readStream(stream, { limit: 4_096 });
      return page.kind === 'events' ? page.events.map(({ revision }) => revision) : [];
    },
    until: async (so) => {
      while (!(await so())) await pause(20);
    },
    closeDoor: () => door.close(),
    close: async () => {
      await client.dispose();
      await door.close();
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}
