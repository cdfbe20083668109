import type { Recorded } from '../../src/domain/conversation/events';
import type { Database } from '../../src/infrastructure/postgres/database';
import { LIVE_PROJECTIONS } from '../../projections/live';
import { Batch } from '../../projections/runner/batch';

/** Writes the events into all live read models as one batch. */
export async function project(database: Database, events: readonly Recorded[]): Promise<void> {
  const batch = new Batch(LIVE_PROJECTIONS);
  for (const recorded of events) {
    for (const projection of LIVE_PROJECTIONS) batch.add(projection, recorded);
  }
  const encoded = batch.encode();
  await database.transaction(async (client) => {
    await client.query("SET LOCAL search_path = 'read'");
    await encoded.apply(client);
  });
}
