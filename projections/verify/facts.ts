/** What is true of one conversation, by name: one line of text each, so that any two sets can be compared. */
export type Facts = ReadonlyMap<string, string>;

/** Every fact that only one side knows or that the two sides tell differently, as sentences. */
export function differencesBetween(log: Facts, tables: Facts): readonly string[] {
  const differences: string[] = [];
  for (const [name, expected] of log) {
    const actual = tables.get(name);
    if (actual !== expected)
      differences.push(`${name}: the log says ${expected}, the tables say ${actual ?? 'nothing'}`);
  }
  for (const [name, actual] of tables) {
    if (!log.has(name)) differences.push(`${name}: the log says nothing, the tables say ${actual}`);
  }
  return differences;
}

/** How each kind of fact is written; both sides write through here, so that only the values can differ. */
export const fact = {
  conversation: (value: {
    readonly kind: string;
    readonly createdAt: number;
    readonly activeAt: number;
    readonly headSeq: number;
    readonly lastOrdinal: number;
    readonly memberCount: number;
    /** Canonical JSON of title, description, avatar, settings. */
    readonly details: string;
  }): [string, string] => ['conversation', Object.values(value).join(' ')],
  member: (
    userId: string,
    value: {
      readonly role: string;
      readonly joinedAt: number;
      readonly joinedSeq: number;
      readonly readUpTo: number;
      readonly unread: number;
      readonly mentions: number;
    },
  ): [string, string] => [
    `member ${userId}`,
    `role ${value.role}, joined ${value.joinedSeq} at ${value.joinedAt}, read ${value.readUpTo}, ` +
      `unread ${value.unread}, mentions ${value.mentions}`,
  ],
  span: (userId: string, from: number, to: number | null): [string, string] => [
    `membership ${userId} from ${from}`,
    `to ${to ?? 'now'}`,
  ],
  ordinal: (seq: number, ordinal: number): [string, string] => [`ordinal of ${seq}`, String(ordinal)],
  message: (
    seq: number,
    value: {
      readonly ordinal: number;
      readonly messageId: string;
      readonly clientMessageId: string;
      readonly senderId: string;
      readonly at: number;
      /** Hash of what it said when it was sent; null: deleted. */
      readonly content: string | null;
      readonly replyTo: number | null;
      readonly threadOf: number | null;
      /** Canonical JSON of the rest. */
      readonly extra: string;
      readonly deletedAt: number | null;
    },
  ): [string, string] => [`message ${seq}`, Object.values(value).join(' ')],
  edit: (
    target: number,
    seq: number,
    value: {
      readonly version: number;
      readonly at: number;
      /** Hash of what the message said from then on; null: it is deleted. */
      readonly content: string | null;
    },
  ): [string, string] => [
    `edit of ${target} by event ${seq}`,
    `version ${value.version} at ${value.at}: ${value.content ?? 'deleted'}`,
  ],
  reaction: (target: number, userId: string, emoji: string, on: boolean, seq: number): [string, string] => [
    `reaction on ${target} by ${userId} ${JSON.stringify(emoji)} in event ${seq}`,
    on ? 'on' : 'off',
  ],
  delivered: (userId: string, deviceId: string, upTo: number): [string, string] => [
    `delivered ${userId}/${deviceId}`,
    String(upTo),
  ],
  read: (userId: string, upTo: number): [string, string] => [`read ${userId}`, String(upTo)],
  key: (
    senderId: string,
    clientMessageId: string,
    value: {
      readonly seq: number;
      readonly ordinal: number;
      readonly messageId: string;
      readonly contentHash: string;
      readonly at: number;
    },
  ): [string, string] => [`key ${senderId}/${clientMessageId}`, Object.values(value).join(' ')],
};
