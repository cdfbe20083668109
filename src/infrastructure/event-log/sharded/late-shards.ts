import { setTimeout as sleep } from 'node:timers/promises';
import { EventLogUnavailable, type EventLog } from '../../../application/ports/event-log';
import {
  identityOf,
  OtherShards,
  readArrangement,
  refuseOthers,
  RESHARD,
  type Arrangement,
  type NamedStore,
} from './arrangement';
import { LateLog } from './late-log';

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
/** A store that has not said within this time who it is counts as one that is away. */
const ANSWER_MS_MAX = 3_000;

interface Introduction {
  readonly store: NamedStore;
  readonly arrangement: Arrangement | undefined;
  readonly epoch: string;
}

/** The shards of one log, some of which may come later. */
export interface PartOfShards {
  /** In the order of the shards. */
  readonly logs: readonly EventLog[];
  /** For people; of those that are away it is not known which shard they are. */
  readonly away: readonly string[];
  /** Identity of the whole log to devices. A store that is away is taken to have begun no other epoch. */
  readonly epoch: () => Promise<string>;
}

export interface LateArrival {
  readonly signal: AbortSignal;
  /**
   * Whether the positions that are kept are of a store with this numbering. May reject: then it is asked again. Default:
   * they are.
   */
  readonly isKnown?: (numbering: string) => Promise<boolean>;
  /** A store has come that is none of the missing shards, or another copy of one; it is not used. Told once for each. */
  readonly onOthers: (error: OtherShards) => void;
}

/**
 * The shards of a list of stores of which some are away: those that are there know how many there are, and which. Each of
 * the others takes its place when it has said which one it is, and not before.
 *
 * @returns undefined when all stores answer, and when none does, or one that was never told of a list: then all of them
 *   have to be asked together
 * @throws OtherShards when those that answer are not of one list of as many shards
 */
export async function openPart(
  stores: readonly NamedStore[],
  late: LateArrival,
): Promise<PartOfShards | undefined> {
  const asked = await Promise.all(stores.map((store) => introductionOf(store)));
  const known = asked.filter((one) => one !== undefined);
  const [first] = known.map(({ arrangement }) => arrangement);
  if (first === undefined || known.length === stores.length) return undefined;
  const told: Arrangement[] = [];
  for (const { arrangement } of known) {
    if (arrangement === undefined || arrangement.shards === 1) return undefined;
    told.push(arrangement);
  }
  refuseOthers(
    known.map(({ store }) => store),
    told,
    stores.length,
  );
  const there = new Map(known.map((one, n) => [(told[n] as Arrangement).shard, one]));
  return new LateShards(stores, first, there).open(late);
}

class LateShards {
  /** Those that nobody has taken yet. */
  private readonly missing: Map<number, LateLog>;
  private readonly epochs: string[];

  constructor(
    private readonly stores: readonly NamedStore[],
    private readonly list: Arrangement,
    private readonly there: ReadonlyMap<number, Introduction>,
  ) {
    const shards = Array.from({ length: list.shards }, (_, shard) => shard);
    this.missing = new Map(
      shards.filter((shard) => !there.has(shard)).map((shard) => [shard, new LateLog()]),
    );
    this.epochs = shards.map((shard) => there.get(shard)?.epoch ?? (list.storeEpochs[shard] as string));
  }

  open(late: LateArrival): PartOfShards {
    const present = new Set([...this.there.values()].map(({ store }) => store));
    const away = this.stores.filter((store) => !present.has(store));
    const logs = this.epochs.map(
      (_, shard) => (this.there.get(shard)?.store.log ?? this.missing.get(shard)) as EventLog,
    );
    for (const store of away) void this.expect(store, late);
    return {
      logs,
      away: away.map(({ place }) => place),
      epoch: () => Promise.resolve(identityOf(this.list, this.epochs)),
    };
  }

  /** Until the store has said who it is. Never rejects. */
  private async expect(store: NamedStore, late: LateArrival): Promise<void> {
    const { signal } = late;
    for (let retryMs = RETRY_MIN_MS; !signal.aborted; retryMs = Math.min(RETRY_MAX_MS, retryMs * 2)) {
      try {
        const known = await introductionOf(store);
        if (known !== undefined) {
          await this.take(known, late);
          return;
        }
      } catch {
        // The store went away again, or nobody could say whether it is known.
      }
      await sleep(retryMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(nothing);
    }
  }

  private async take(known: Introduction, { onOthers, isKnown }: LateArrival): Promise<void> {
    const { store, arrangement, epoch } = known;
    const isOfList = arrangement?.id === this.list.id && this.missing.has(arrangement.shard);
    if (!isOfList) {
      onOthers(otherShard(known, this.list));
      return;
    }
    if (isKnown !== undefined && !(await isKnown(await store.log.numbering()))) {
      onOthers(
        new OtherShards(`${store.place} is another copy of its shard: start again with all shards there`),
      );
      return;
    }
    const log = this.missing.get(arrangement.shard);
    this.missing.delete(arrangement.shard);
    this.epochs[arrangement.shard] = epoch;
    log?.arrive(store.log);
  }
}

/** undefined: it is away. */
async function introductionOf(store: NamedStore): Promise<Introduction | undefined> {
  const asking = Promise.all([readArrangement(store.log), store.log.epoch()]);
  asking.catch(nothing);
  try {
    const answer = await Promise.race([asking, sleep(ANSWER_MS_MAX, undefined, { ref: false })]);
    return answer === undefined ? undefined : { store, arrangement: answer[0], epoch: answer[1] };
  } catch (error) {
    if (error instanceof EventLogUnavailable) return undefined;
    throw error;
  }
}

function otherShard({ store, arrangement }: Introduction, { id, shards }: Arrangement): OtherShards {
  const what =
    arrangement === undefined
      ? 'no shard of any list'
      : `shard ${arrangement.shard + 1} of ${arrangement.shards} of list ${arrangement.id.slice(0, 8)}`;
  return new OtherShards(
    `${store.place} is ${what}, and none of the ${shards} shards of list ${id.slice(0, 8)} that are missing; ${RESHARD}`,
  );
}

const nothing = (): void => undefined;
