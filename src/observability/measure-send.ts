import { assertNever } from '../kernel/assert-never';
import type { Metrics } from './metrics';

/** What became of a send, as far as the service level depends on it: the command's own outcome has more. */
interface SendOutcome {
  readonly outcome:
    | { readonly kind: 'accepted' | 'repeated' | 'unchanged' | 'unavailable' }
    | { readonly kind: 'refused'; readonly refusal: { readonly code: string } };
}

/** Runs a send, whichever door it came through, and counts how it ended. Rejects as `send` does. */
export async function measureSend<T extends SendOutcome>(
  metrics: Metrics,
  send: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  let result: T;
  try {
    result = await send();
  } catch (error) {
    metrics.sendsFailed.inc({ code: 'internal' });
    throw error;
  }
  count(metrics, result.outcome, performance.now() - startedAt);
  return result;
}

function count(metrics: Metrics, outcome: SendOutcome['outcome'], ms: number): void {
  switch (outcome.kind) {
    case 'accepted':
      metrics.sendsAcknowledged.inc({ duplicate: 'false' });
      metrics.sendToPersistedMs.observe(ms);
      return;
    case 'repeated':
      metrics.sendsAcknowledged.inc({ duplicate: 'true' });
      return;
    case 'unavailable':
      metrics.sendsFailed.inc({ code: 'unavailable' });
      return;
    case 'refused':
      // Everything else is the sender's own doing, and neither keeps nor breaks a promise of ours.
      if (outcome.refusal.code === 'unavailable') metrics.sendsFailed.inc({ code: 'unavailable' });
      return;
    case 'unchanged':
      return;
    default:
      assertNever(outcome);
  }
}
