import type { Recorded } from '../../src/domain/conversation/events';
import type { Queryable } from '../../src/infrastructure/postgres/database';
import { rowsOf, type Projection, type Row, type Statement } from '../projection';
import { arrayLiteral } from './array-literal';

/** The rows of many events, gathered by statement, so that each statement is executed once. */
export class Batch {
  private readonly rows = new Map<Statement, Row[]>();

  constructor(private readonly projections: readonly Projection[]) {
    for (const { statements } of projections) {
      for (const statement of statements) this.rows.set(statement, []);
    }
  }

  /** @throws whatever the projection's handler throws, and Error for a statement that it has not declared */
  add(projection: Projection, recorded: Recorded): void {
    for (const row of rowsOf(projection, recorded)) {
      const rows = this.rows.get(row.statement);
      if (rows === undefined) throw new Error(`${projection.name} does not declare ${row.statement.name}`);
      rows.push(row);
    }
  }

  /** Everything in the form in which it is sent. @throws TypeError for a value that is not of its column's type */
  encode(): EncodedBatch {
    const commands = this.projections
      .flatMap(({ statements }) => statements)
      .map((statement) => ({ statement, rows: this.rows.get(statement) ?? [] }))
      .filter(({ rows }) => rows.length > 0)
      .map(({ statement, rows }) => ({ statement, parameters: parameters(statement, rows) }));
    return new EncodedBatch(commands);
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

const parameters = (statement: Statement, rows: readonly Row[]): readonly string[] =>
  Object.entries(statement.columns).map(([name, type]) =>
    arrayLiteral(
      type,
      rows.map(({ values }) => values[name]),
    ),
  );
