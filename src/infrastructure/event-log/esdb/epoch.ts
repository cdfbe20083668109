/** Holds the log's identity in its first event: EventStoreDB has none that a restored backup would change. */
export const EPOCH_STREAM = 'parley-epoch';
