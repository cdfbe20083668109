import type { EventFrame } from '../src/protocol/events';
import type { ServerFrame } from '../src/protocol/frames';
import type { EphemeralName } from './events';

const HINTS: readonly EphemeralName[] = [
  'typing',
  'presence',
  'call.signal',
  'conversation.activity',
  'receipt.summary',
];

/** Never stored, nothing lost when it is: handed on as it comes. */
export function isHint(frame: ServerFrame): frame is Extract<ServerFrame, { event: EphemeralName }> {
  return HINTS.some((name) => name === frame.event);
}

const NOT_STORED: readonly ServerFrame['event'][] = [...HINTS, 'message.ack', 'ok', 'error'];

/** An event of a conversation's log, also of a type this version does not know: it has its place there. */
export function isStored(frame: ServerFrame): frame is EventFrame {
  if (NOT_STORED.includes(frame.event)) return false;
  const { conversationId, seq } = frame.data as { conversationId?: unknown; seq?: unknown };
  return typeof conversationId === 'string' && typeof seq === 'number';
}

/** The seq in the answer `ok`; undefined when nothing was stored. */
export function seqOf(frame: ServerFrame): number | undefined {
  return frame.event === 'ok' ? frame.data.seq : undefined;
}
