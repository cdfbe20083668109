import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import { EngineError } from '../../embedded/engine/errors';
import { EmbeddedEventStore } from '../../embedded/engine/event-store';

export interface AppendDemand {
  /** Appended at the same time, each to its stream. */
  readonly appends: number;
  readonly bytes: number;
}

export interface AppendReport {
  readonly appended: number;
  /** Kinds of the errors that the others got. */
  readonly refused: readonly string[];
  readonly head: number;
}

/** Appends as its parent asks; marks each acknowledgement by a write to a descriptor that a tracer can see. */
async function appendOnDemand(path: string): Promise<void> {
  const store = await EmbeddedEventStore.open({ path, unindexedEventsMax: 10 });
  const append = async (n: number, bytes: number): Promise<void> => {
    const data = JSON.stringify({ filling: 'x'.repeat(bytes) });
    const event = { id: randomUUID(), type: 'Tested', isJson: true, data, metadata: '' };
    const outcome = await store.append(`s${n}`, [event], 'any');
    if (outcome.kind === 'appended') writeSync(1, `acknowledged ${outcome.position}\n`);
  };
  process.on('message', ({ appends, bytes }: AppendDemand) => {
    const all = Array.from({ length: appends }, (_, n) => append(n, bytes));
    void Promise.allSettled(all).then((results) => {
      const refused = results.flatMap((result) =>
        result.status === 'fulfilled'
          ? []
          : [result.reason instanceof EngineError ? result.reason.kind : String(result.reason)],
      );
      const report: AppendReport = { appended: appends - refused.length, refused, head: store.head };
      process.send?.(report);
    });
  });
  process.once('disconnect', () => void store.close());
  process.send?.({ appended: 0, refused: [], head: store.head } satisfies AppendReport);
}

void appendOnDemand(process.argv[2] as string);
