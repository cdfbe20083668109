import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { LogEvent } from '../../src/application/ports/event-log';
import { baseType, type Projection, type Row, type Statement } from '../projection';
import { Batch, type Filled, type LineOf } from '../runner/batch';
import { copyFields } from '../runner/column-text';
import { recordedOf } from '../runner/recorded-of';
import { SIDE_SCHEMA } from './side-schema';

/** Events whose rows are sent together; two such pieces are in memory at most, one of them on its way. */
const PIECE_EVENTS_MAX = 20_000;
/** For sorting and for indexes, which are made one after another. */
const WORK_MEMORY = '128MB';

/** What a table has that is cheaper to make for all rows at once than to keep up with each. */
interface Index {
  readonly drop: string;
  readonly make: string;
}

interface Piece {
  readonly statement: Statement;
  readonly lines: Buffer;
}

/**
 * Fills the side schema's empty tables with the log in one go. A projection may cut the log into batches as it likes
 * and ends in the same tables (see {@link Statement}); here the whole log is one batch. Its rows travel by COPY,
 * which costs the server a third of what parameters do: straight into their table where a statement says so, else into
 * a table that the statement is executed over when all are there.
 *
 * Everything happens in the one session that keeps other rebuilds out: when it breaks, nothing is written any more.
 */
export class BulkLoad {
  private batch: Batch;
  private gathered = 0;
  private sending: Promise<void> = Promise.resolve();
  private readonly statements: readonly Statement[];
  private readonly linesOf: ReadonlyMap<Statement, LineOf>;
  private indexes: readonly Index[] = [];

  constructor(
    private readonly session: Client,
    private readonly projections: readonly Projection[],
    private readonly pieceEventsMax = PIECE_EVENTS_MAX,
  ) {
    this.statements = projections.flatMap(({ statements }) => statements);
    this.linesOf = new Map(this.statements.map((statement) => [statement, lineOf(statement)]));
    this.batch = new Batch(projections, this.linesOf);
  }

  async begin(): Promise<void> {
    await this.session.query(
      `SET search_path = ${SIDE_SCHEMA}; SET synchronous_commit = off; SET work_mem = '${WORK_MEMORY}';
       SET maintenance_work_mem = '${WORK_MEMORY}'; SET client_min_messages = warning`,
    );
    const direct = this.statements.flatMap(({ copiesInto }) => copiesInto ?? []);
    this.indexes = await this.indexesOf(direct);
    for (const { drop } of this.indexes) await this.session.query(drop);
    for (const statement of this.statements) {
      if (statement.copiesInto !== undefined) continue;
      const columns = Object.entries(statement.columns).map(([name, type]) => `${name} ${baseType(type)}`);
      await this.session.query(`CREATE UNLOGGED TABLE ${this.tableOf(statement)} (${columns.join(', ')})`);
    }
  }

  /** @throws what a projection's handler throws, TypeError for a value that is not of its column's type */
  async add(events: readonly LogEvent[]): Promise<void> {
    for (const event of events) {
      const recorded = recordedOf(event);
      if (recorded === undefined) continue;
      for (const projection of this.projections) this.batch.add(projection, recorded);
      if (++this.gathered >= this.pieceEventsMax) await this.flush();
    }
  }

  /** Makes the tables what the projector would have made them. */
  async finish(): Promise<void> {
    await this.flush();
    await this.sending;
    for (const { make } of this.indexes) await this.session.query(make);
    for (const statement of this.statements) {
      if (statement.copiesInto !== undefined) continue;
      const table = this.tableOf(statement);
      // Of the tables that were copied into, making the indexes has told the planner enough.
      await this.session.query(`ANALYZE ${table}`);
      await this.session.query(statement.sqlOver(table));
      await this.session.query(`DROP TABLE ${table}`);
    }
  }

  /** Sends what is gathered once the server has taken what was sent before: more than that is never held. */
  private async flush(): Promise<void> {
    const pieces = this.batch.filled().map((filled) => this.pieceOf(filled));
    this.batch = new Batch(this.projections, this.linesOf);
    this.gathered = 0;
    await this.sending;
    this.sending = this.send(pieces);
    // Waited for by the next one; until then a failure is nobody's.
    this.sending.catch(() => undefined);
  }

  private pieceOf({ statement, rows, lines }: Filled): Piece {
    const write = this.linesOf.get(statement);
    const text = write === undefined ? lines : [...lines, ...rows.map(write)];
    return { statement, lines: Buffer.from(`${text.join('\n')}\n`) };
  }

  private async send(pieces: readonly Piece[]): Promise<void> {
    for (const { statement, lines } of pieces) {
      const columns = Object.keys(statement.columns).join(', ');
      const copy = this.session.query(copyFrom(`COPY ${this.tableOf(statement)} (${columns}) FROM STDIN`));
      await new Promise<void>((resolve, reject) => {
        copy.once('finish', resolve).once('error', reject);
        copy.end(lines);
      });
    }
  }

  private tableOf(statement: Statement): string {
    return statement.copiesInto ?? `rows_${statement.name.replace('.', '_').toLowerCase()}`;
  }

  /** Of the tables, keys first; parts of partitioned tables have theirs from the whole. */
  private async indexesOf(tables: readonly string[]): Promise<readonly Index[]> {
    const { rows } = await this.session.query<Index>(
      `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
              format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
                     pg_get_constraintdef(oid)) AS make
       FROM pg_constraint
       WHERE conrelid = ANY ($1::regclass[]) AND contype IN ('p', 'u')
       UNION ALL
       SELECT format('DROP INDEX %s', indexrelid::regclass),
              -- The definition names the whole alone; made that way the parts would have none.
              replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
       FROM pg_index
       WHERE indrelid = ANY ($1::regclass[])
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`,
      [tables],
    );
    return rows;
  }
}

/** A line of COPY's text format, without its end. */
function lineOf({ columns }: Statement): LineOf {
  const fields = Object.entries(columns).map(([name, type]) => ({ name, write: copyFields(type) }));
  return (values: Row['values']) => {
    const texts: string[] = [];
    for (const { name, write } of fields) texts.push(write(values[name]));
    return texts.join('\t');
  };
}
