import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { canonicalJson } from '../kernel/json';
import { asRevision } from '../kernel/ids';
import { CHAIN_START, chainHash, eventIdOf, verifyChain } from './audit-chain';

const ID = '01936f00-0000-7000-8000-000000000001';

interface Stored {
  stream: string;
  revision: ReturnType<typeof asRevision>;
  type: string;
  data: Record<string, unknown>;
  metadata: { at: string; hash: string };
}

function chainOf(datas: readonly Record<string, unknown>[]): Stored[] {
  let previous = CHAIN_START;
  return datas.map((data, seq) => {
    const [type, at] = ['Said', new Date(1_700_000_000_000 + seq).toISOString()];
    const hash = chainHash(previous, { conversationId: ID, seq, at, type, data: canonicalJson(data) });
    previous = hash;
    const metadata = { at, hash };
    return { stream: `conversation-${ID}`, revision: asRevision(BigInt(seq)), type, data, metadata };
  });
}

describe('the audit chain', () => {
  it('hashes what its documentation says', () => {
    const link = { conversationId: ID, seq: 7, at: '2026-11-22T10:00:00.000Z', type: 'Said' };
    const data = { text: 'ß"\n', nested: { b: 1, a: [null, true] } };
    const text = `${'a'.repeat(64)}${canonicalJson({ ...link, data })}`;
    expect(chainHash('a'.repeat(64), { ...link, data: canonicalJson(data) })).toBe(
      createHash('sha256').update(text, 'utf8').digest('hex'),
    );
  });

  it('makes ids that are UUIDs of version 8', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const id = eventIdOf(createHash('sha256').update(text).digest('hex'));
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });

  it('is intact as written, whole or from any trusted event on', () => {
    const events = chainOf([{ n: 0 }, { n: 1 }, { n: 2 }]);
    const last = events[2]?.metadata.hash;
    expect(verifyChain(events)).toEqual({ kind: 'intact', hash: last });
    const from = { hash: events[0]?.metadata.hash ?? '', seq: 1 };
    expect(verifyChain(events.slice(1), from)).toEqual({ kind: 'intact', hash: last });
    expect(verifyChain([])).toEqual({ kind: 'intact', hash: CHAIN_START });
  });

  const tampering: [string, (events: Stored[]) => unknown][] = [
    ['data', ([, second]) => second && (second.data = { n: 99 })],
    ['time', ([, second]) => second && (second.metadata.at = '2020-01-01T00:00:00.000Z')],
    ['type', ([, second]) => second && (second.type = 'Unsaid')],
    ['hash', ([, second]) => second && (second.metadata.hash = 'f'.repeat(64))],
    ['conversation', ([, second]) => second && (second.stream = 'conversation-other')],
    ['absence', (events) => events.splice(1, 1)],
    ['order', (events) => events.splice(1, 2, ...events.slice(1, 3).reverse())],
  ];
  it.each(tampering)('shows where somebody touched the %s', (_name, tamper) => {
    const events = chainOf([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }]);
    tamper(events);
    expect(verifyChain(events)).toMatchObject({ kind: 'broken', seq: 1 });
  });
});
