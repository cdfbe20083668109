import type { ConversationEvent, ConversationEventType, Recorded } from '../src/domain/conversation/events';

/** How a value arrives in the statement. `jsonb` takes anything that JSON can say. */
interface ColumnTypes {
  uuid: string;
  text: string;
  bigint: number;
  integer: number;
  boolean: boolean;
  jsonb: unknown;
}
export type BaseType = keyof ColumnTypes;
/** With `?` the value may be null. */
export type ColumnType = BaseType | `${BaseType}?`;
type Value<T extends ColumnType> = T extends BaseType
  ? ColumnTypes[T]
  : T extends `${infer Base extends BaseType}?`
    ? ColumnTypes[Base] | null
    : never;

export type Columns = Readonly<Record<string, ColumnType>>;
type ValuesOf<C extends Columns> = { readonly [Name in keyof C]: Value<C[Name]> };

/** One row for one statement; what handlers return. */
export interface Row {
  readonly statement: Statement;
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * One set-based change: the runner gathers the rows of a whole batch and executes the statement once. Per-event
 * statements would read more easily, but a round trip costs many times what a row does, and rebuilding has to
 * pass tens of thousands of events a second (docs/adr/0007).
 *
 * The price: the SQL must be exact by `seq`. It may not depend on the order of rows within the batch, applying a
 * batch again (also an old one, after later ones) must change nothing, and cutting the log into other batches
 * must end in the same tables. It may rely on all earlier events having been applied before, or in this batch.
 */
export interface Statement {
  /** `<model>.<what it does>`, unique over all projections; also the name of the prepared statement. */
  readonly name: string;
  readonly columns: Columns;
  /** Table names come without a schema: the runner chooses it, so that a rebuild can write beside the live one. */
  readonly sql: string;
  /** The same over the rows of a table, instead of those that come as parameters. */
  readonly sqlOver: (table: string) => string;
  /**
   * The table that gets each row as it is, when every event gives at most one and its key is that event's own: then
   * a table that is made from nothing is filled without looking at what is in it.
   */
  readonly copiesInto?: string;
  readonly merging?: Merging;
}

/** Which rows of a batch say no more together than one row, so that Postgres gets that one. */
export interface Merging<Values = Readonly<Record<string, unknown>>> {
  /** Rows that have the same key are merged. Also asked of the rows of `notAcross`. */
  readonly keyOf: (values: Values) => string;
  /** @returns a row with which the statement does what it does with both; `later` comes after `earlier` in the log */
  readonly merge: (earlier: Values, later: Values) => Values;
  /** Rows before one of these and rows after it stay apart: what they mean depends on which side they stand. */
  readonly notAcross?: readonly Statement[];
}

export class RowStatement<C extends Columns> implements Statement {
  readonly sql: string;
  readonly copiesInto?: string;
  readonly merging?: Merging;

  /** @param sqlOf what to do with the rows, which it is given as a FROM item named `r` with the columns' names */
  constructor(
    readonly name: string,
    readonly columns: C,
    private readonly sqlOf: (rows: string) => string,
    options: { readonly copiesInto?: string; readonly merging?: Merging<ValuesOf<C>> } = {},
  ) {
    this.sql = sqlOf(fromItem(columns));
    if (options.copiesInto !== undefined) this.copiesInto = options.copiesInto;
    // The rows of a statement have its columns, by `row` below.
    if (options.merging !== undefined) this.merging = options.merging as unknown as Merging;
  }

  readonly sqlOver = (table: string): string => this.sqlOf(`${table} AS r`);

  row(values: ValuesOf<C>): Row {
    return { statement: this, values };
  }
}

export const baseType = (type: ColumnType): BaseType => type.replace('?', '') as BaseType;

function fromItem(columns: Columns): string {
  const names = Object.keys(columns);
  const arrays = Object.values(columns).map((type, n) => `$${n + 1}::${baseType(type)}[]`);
  return `unnest(${arrays.join(', ')}) AS r(${names.join(', ')})`;
}

/** The last 24 bits of a user's id, by which packed cursors name them (src/domain/conversation/packed-cursors.ts). */
export const userTag = (column: string): string => `('x' || right(${column}::text, 6))::bit(24)::integer`;

/** Said by name, so that a new event does not compile until every projection handles or ignores it. */
export const ignore = 'ignore';

export type Handler<E extends ConversationEvent = ConversationEvent> = (
  recorded: Recorded<E>,
) => readonly Row[];

/** A read model as data: pure, total over the events; only the runner touches Postgres. */
export interface Projection {
  /** `<model>/v<n>`: the key of its checkpoint, for ever. */
  readonly name: string;
  /** The tables it owns, and nobody else writes. */
  readonly tables: readonly string[];
  /** In the order in which a batch executes them: rows of an earlier one are there for a later one. */
  readonly statements: readonly Statement[];
  readonly on: {
    readonly [Type in ConversationEventType]:
      Handler<Extract<ConversationEvent, { readonly type: Type }>> | typeof ignore;
  };
}

/** The rows one event turns into. */
export function rowsOf(projection: Projection, recorded: Recorded): readonly Row[] {
  const handler = projection.on[recorded.event.type];
  // The map's type pairs each event with its own handler; indexing by the event's own type keeps the pair.
  return handler === ignore ? [] : (handler as Handler)(recorded);
}
