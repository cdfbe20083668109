import type { StreamCheck } from '../../projections/verify';
import { CHAIN_START, verifyChain } from '../../src/application/audit-chain';

/**
 * The audit chain of one conversation, from its first event on. Holds one hash, however long the stream is; says
 * only where the chain breaks first, because from there on nothing can be told.
 */
export function chainCheck(): StreamCheck {
  let from: { readonly hash: string; readonly seq: number } | undefined = { hash: CHAIN_START, seq: 0 };
  return {
    take(events) {
      if (from === undefined) return undefined;
      const verdict = verifyChain(events, from);
      if (verdict.kind === 'intact') {
        from = { hash: verdict.hash, seq: from.seq + events.length };
        return undefined;
      }
      from = undefined;
      const { seq, expected, found } = verdict;
      return `the audit chain breaks at ${seq}: its hash must be ${expected}, and is ${found ?? 'missing'}`;
    },
  };
}
