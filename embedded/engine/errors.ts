/** Why the engine did not do what it was asked; the store is unharmed by all of them. */
type EngineErrorKind =
  /** The engine was closed, or is closing. Nothing was written. */
  | 'closed'
  /** The disk takes no more: no room, a limit, an error. Nothing was written; later appends may succeed. */
  | 'unwritable'
  /** More appends are waiting than the queue holds. Nothing was written. */
  | 'overloaded'
  /** It is not known what is on the disk. Only opening the store again helps, and shows what is there. */
  | 'broken'
  /** One append is larger than the engine takes. */
  | 'tooLarge'
  /** A stream name, event, filter, revision or position that cannot be. */
  | 'invalid'
  /** A record does not have the check sum it was stored with. */
  | 'corrupt'
  /** The folder was written by a newer version of this program. */
  | 'newerFormat';

export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    readonly kind: EngineErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
