import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventStoreDBClient } from '@eventstore/db-client';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';
import { openGrpcDoor, type DoorOptions } from '../../embedded/grpc/server';

export interface TestDoor {
  readonly store: EmbeddedEventStore;
  readonly port: number;
  readonly warnings: readonly string[];
  /** Of the official client, as any outside consumer has it. */
  readonly client: EventStoreDBClient;
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
    warnings,
    client,
    close: async () => {
      await client.dispose();
      await door.close();
      await store.close();
      await rm(path, { recursive: true, force: true });
    },
  };
}
