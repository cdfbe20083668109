/** A store cannot be reached or is shutting down; nothing was changed. Answered as `unavailable` (503), retryable. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}
