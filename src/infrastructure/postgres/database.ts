import { Client, Pool, type PoolClient, type QueryConfig, type QueryResultRow } from 'pg';
import { StoreUnavailable } from '../../application/ports/store-unavailable';

const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const SERIALIZATION_RETRIES_MAX = 3;

/** Classes of SQLSTATE that mean "the server is going, gone or full", not "the statement is wrong". */
const UNAVAILABLE_SQLSTATE = /^(08|53|57P|58)/;
const RETRY_SQLSTATE = /^40(001|P01)$/;

export interface Queryable {
  /** @param name of a prepared statement: each connection parses and plans the text once; same name, same text */
  query<Row extends QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    name?: string,
  ): Promise<readonly Row[]>;
}

/** What a pool reports of itself; the names are those of the process's metrics. */
export interface DatabaseMetrics {
  readonly storeFailures: { inc(labels: { readonly store: 'postgres' }): void };
  readonly postgresMs: {
    observe(labels: { readonly kind: 'statement' | 'transaction'; readonly pool: string }, ms: number): void;
  };
}

/**
 * The process's connections to Postgres. Errors of connection become {@link StoreUnavailable}; errors of
 * statements stay what `pg` throws.
 */
export class Database implements Queryable {
  private readonly pool: Pool;

  /** @param options.name of the pool, in `pg_stat_activity` and in metrics */
  constructor(
    private readonly url: string,
    private readonly options: {
      readonly connectionsMax: number;
      readonly name: string;
      readonly metrics?: DatabaseMetrics;
    },
  ) {
    this.pool = new Pool({
      connectionString: url,
      max: options.connectionsMax,
      // What is asked without waiting for the answer before is sent at once, and answered in order.
      pipeline: true,
      application_name: options.name,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: STATEMENT_TIMEOUT_MS,
    });
    // A connection that breaks is replaced by the next query; unheard, the event would end the process. Heard from
    // the first moment on: a server that goes away may say so in the packet that completes the connection.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  async query<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    name?: string,
  ): Promise<readonly Row[]> {
    return this.measured('statement', async () => {
      try {
        return (await this.pool.query<Row>(toConfig(text, values, name))).rows;
      } catch (error) {
        throw translate(error);
      }
    });
  }

  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. Retried on deadlock.
   * Rejects with what `work` rejects with.
   */
  async transaction<T>(work: (client: Queryable) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.measured('transaction', () => this.attempt(work));
      } catch (error) {
        if (attempt >= SERIALIZATION_RETRIES_MAX || !RETRY_SQLSTATE.test(sqlState(error))) throw error;
      }
    }
  }

  /** A connection of one's own, for LISTEN; the caller releases it. */
  async connect(): Promise<PoolClient> {
    try {
      return await this.pool.connect();
    } catch (error) {
      throw translate(error);
    }
  }

  /**
   * A connection outside the pool that does one thing after another, however long each takes, as COPY wants it; the
   * caller ends it.
   */
  async session(): Promise<Client> {
    const session = new Client({
      connectionString: this.url,
      application_name: this.options.name,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      statement_timeout: 0,
    });
    // Heard by whoever uses the connection next, which fails then.
    session.on('error', () => undefined);
    try {
      await session.connect();
    } catch (error) {
      throw translate(error);
    }
    return session;
  }

  async close(): Promise<void> {
    await this.pool.end();
  }

  private async measured<T>(kind: 'statement' | 'transaction', work: () => Promise<T>): Promise<T> {
    const { metrics, name: pool } = this.options;
    if (metrics === undefined) return work();
    const startedAt = performance.now();
    try {
      return await work();
    } catch (error) {
      if (error instanceof StoreUnavailable) metrics.storeFailures.inc({ store: 'postgres' });
      throw error;
    } finally {
      metrics.postgresMs.observe({ kind, pool }, performance.now() - startedAt);
    }
  }

  private async attempt<T>(work: (client: Queryable) => Promise<T>): Promise<T> {
    const client = await this.connect();
    let broken: Error | undefined;
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const ask = async <Row extends QueryResultRow>(
        text: string,
        values: readonly unknown[] = [],
        name?: string,
      ): Promise<readonly Row[]> => {
        try {
          return (await client.query<Row>(toConfig(text, values, name))).rows;
        } catch (error) {
          throw translate(error);
        }
      };
      await ask('BEGIN');
      const result = await work({ query: ask });
      await ask('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((failure: unknown) => {
        broken = failure instanceof Error ? failure : new Error(String(failure));
      });
      // Translated where it came from Postgres; what the work itself throws stays what it is.
      throw error;
    } finally {
      client.off('error', onError);
      // A connection in an unknown state is thrown away rather than given to the next one.
      client.release(broken ?? false);
    }
  }
}

const toConfig = (text: string, values: readonly unknown[], name: string | undefined): QueryConfig =>
  name === undefined ? { text, values: [...values] } : { name, text, values: [...values] };

function sqlState(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}

function translate(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = sqlState(error);
  const fromServer = 'severity' in error;
  if (fromServer && !UNAVAILABLE_SQLSTATE.test(code)) return error;
  return new StoreUnavailable(`Postgres: ${error.message}`, { cause: error });
}
