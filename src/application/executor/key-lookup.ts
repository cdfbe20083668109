import { setTimeout } from 'node:timers/promises';
import type { IndexAnswer, LookupRequest } from '../../domain/conversation/commands';
import type { ConversationId } from '../../kernel/ids';
import type { MessageIndex } from '../ports/message-index';

/** How long a send waits for the index to hold what it must hold; then it is refused as retryable. */
export const LOOKUP_WAIT_MS = 2_000;
const LOOKUP_PAUSE_FIRST_MS = 10;
const LOOKUP_PAUSE_MAX_MS = 250;

/** Asks the permanent index whether a key was used before, outside the lane, so that others go on meanwhile. */
export class KeyLookup {
  constructor(private readonly index: MessageIndex) {}

  /** undefined: the index is down, hangs, or did not catch up within LOOKUP_WAIT_MS. */
  async ask(id: ConversationId, request: LookupRequest): Promise<IndexAnswer | undefined> {
    const over = new AbortController();
    // `ref: false`: a process that ends does not wait for a look-up nobody will hear of.
    const timeout = setTimeout(LOOKUP_WAIT_MS, undefined, { signal: over.signal, ref: false });
    try {
      return await Promise.race([this.poll(id, request, over.signal), timeout]);
    } finally {
      over.abort();
      // The aborted timer rejects; nobody waits for it any more.
      timeout.catch(() => undefined);
    }
  }

  private async poll(
    id: ConversationId,
    request: LookupRequest,
    over: AbortSignal,
  ): Promise<IndexAnswer | undefined> {
    let pauseMs = LOOKUP_PAUSE_FIRST_MS;
    while (!over.aborted) {
      const answer = await this.index.find(id, request).catch(() => undefined);
      if (answer === undefined) return undefined;
      if (answer.kind === 'answer') return { found: answer.found, asOf: request.asOf };
      await setTimeout(pauseMs);
      pauseMs = Math.min(pauseMs * 2, LOOKUP_PAUSE_MAX_MS);
    }
    return undefined;
  }
}
