/** Where a page of the inbox ended. */
export interface InboxPlace {
  readonly activeAt: number;
  readonly conversationId: string;
}

/** A cursor is never longer; anything longer is not ours. */
const CURSOR_CHARACTERS_MAX = 128;
const PLACE = /^(-?\d{1,16})\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Opaque to clients: base64url. */
export const encodeInboxCursor = ({ activeAt, conversationId }: InboxPlace): string =>
  Buffer.from(`${activeAt}/${conversationId}`).toString('base64url');

/** undefined for any text that {@link encodeInboxCursor} has not made. */
export function decodeInboxCursor(cursor: string): InboxPlace | undefined {
  if (cursor.length > CURSOR_CHARACTERS_MAX) return undefined;
  const match = PLACE.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null) return undefined;
  const place = { activeAt: Number(match[1]), conversationId: match[2] as string };
  if (!Number.isSafeInteger(place.activeAt)) return undefined;
  // Base64 has many spellings of one text; only ours is accepted.
  return encodeInboxCursor(place) === cursor ? place : undefined;
}
