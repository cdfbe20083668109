/** What the operator decides about commands; the composition root provides it from the configuration. */
export abstract class ApplicationSettings {
  /** How long after it was sent a message may be edited. */
  abstract readonly editWindowMs: number;
  /** The most members of a group. */
  abstract readonly membersMax: number;
}
