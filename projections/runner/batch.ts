import type { Recorded } from '../../src/domain/conversation/events';
import type { Queryable } from '../../src/infrastructure/postgres/database';
import { rowsOf, type Projection, type Row, type Statement } from '../projection';
import { arrayLiteral } from './column-text';

type Values = Row['values'];

/** What a row is sent as. */
export type LineOf = (values: Values) => string;

/** The rows of one statement, merged as it allows. */
class Gathered {
  readonly rows: Values[] = [];
  /** Of the rows that are never merged, when there is a form to send them in. */
  readonly lines: string[] = [];
  /** Places in `rows` that the next row of the same key is merged into. */
  private readonly open = new Map<string, number>();

  constructor(
    private readonly statement: Statement,
    private readonly lineOf?: LineOf,
  ) {}

  add(values: Values): void {
    const { merging } = this.statement;
    if (merging === undefined) {
      // A row keeps its whole event alive, a line does not: thousands of them would outlive the young generation.
      if (this.lineOf === undefined) this.rows.push(values);
      else this.lines.push(this.lineOf(values));
      return;
    }
    const key = merging.keyOf(values);
    const place = this.open.get(key);
    if (place === undefined) this.open.set(key, this.rows.push(values) - 1);
    else this.rows[place] = merging.merge(this.rows[place] as Values, values);
  }

  /** Nothing more is merged into the row of this key. */
  part(values: Values): void {
    const key = this.statement.merging?.keyOf(values);
    if (key !== undefined) this.open.delete(key);
  }
}

export interface Filled {
  readonly statement: Statement;
  readonly rows: readonly Values[];
  readonly lines: readonly string[];
}

/** The rows of many events, gathered by statement, so that each statement is executed once. */
export class Batch {
  private readonly gathered: ReadonlyMap<Statement, Gathered>;
  /** By statement: those whose rows do not merge across its own. */
  private readonly parted = new Map<Statement, Gathered[]>();

  /** @param linesOf how rows are sent; without it they are kept as they are */
  constructor(
    private readonly projections: readonly Projection[],
    linesOf?: ReadonlyMap<Statement, LineOf>,
  ) {
    const statements = projections.flatMap((projection) => projection.statements);
    this.gathered = new Map(
      statements.map((statement) => [statement, new Gathered(statement, linesOf?.get(statement))]),
    );
    for (const [{ merging }, gathered] of this.gathered) {
      for (const border of merging?.notAcross ?? []) {
        this.parted.set(border, [...(this.parted.get(border) ?? []), gathered]);
      }
    }
  }

  /** @throws whatever the projection's handler throws, and Error for a statement that it has not declared */
  add(projection: Projection, recorded: Recorded): void {
    for (const { statement, values } of rowsOf(projection, recorded)) {
      const gathered = this.gathered.get(statement);
      if (gathered === undefined) throw new Error(`${projection.name} does not declare ${statement.name}`);
      gathered.add(values);
      const parted = this.parted.get(statement);
      if (parted !== undefined) for (const other of parted) other.part(values);
    }
  }

  /** Of each statement that has any, in declared order. */
  filled(): readonly Filled[] {
    return this.projections
      .flatMap(({ statements }) => statements)
      .map((statement) => ({
        statement,
        rows: this.gathered.get(statement)?.rows ?? [],
        lines: this.gathered.get(statement)?.lines ?? [],
      }))
      .filter(({ rows, lines }) => rows.length + lines.length > 0);
  }

  /** Everything in the form in which it is sent. @throws TypeError for a value that is not of its column's type */
  encode(): EncodedBatch {
    return new EncodedBatch(
      this.filled().map(({ statement, rows }) => ({ statement, parameters: parameters(statement, rows) })),
    );
  }
}

/** One execution of each statement that has rows, in declared order. */
export class EncodedBatch {
  constructor(
    private readonly commands: readonly {
      readonly statement: Statement;
      readonly parameters: readonly string[];
    }[],
  ) {}

  /** Asks for all of it at once. Belongs into a transaction whose search_path has the tables. */
  apply(client: Queryable): Promise<void> {
    return inOrder(
      this.commands.map(({ statement, parameters: values }) =>
        client.query(statement.sql, values, statement.name),
      ),
    );
  }
}

/**
 * Waits for all answers of one transaction. Rejects with the first failure in order: those after it only say that the
 * transaction is over.
 */
export async function inOrder(answers: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(answers);
  for (const answer of settled) if (answer.status === 'rejected') throw answer.reason;
}

const parameters = (statement: Statement, rows: readonly Values[]): readonly string[] =>
  Object.entries(statement.columns).map(([name, type]) =>
    arrayLiteral(
      type,
      rows.map((values) => values[name]),
    ),
  );
