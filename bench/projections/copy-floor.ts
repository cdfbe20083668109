import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { finished } from 'node:stream/promises';
import type { Metrics } from '../scenario';
import type { Workshop } from './workshop';

const TABLE = `CREATE TABLE copied (LIKE read.history_messages)`;

/**
 * What nothing that fills a table from here can be faster than: the messages, as text that lies ready, into a table
 * without a key. @param measured runs the copy of so many rows
 */
export async function copyMessages(
  { database }: Workshop,
  measured: (rows: number, copy: () => Promise<void>) => Promise<Metrics>,
): Promise<Metrics> {
  const session = await database.session();
  try {
    const lines: Buffer[] = [];
    const reading = session.query(copyTo('COPY (SELECT * FROM read.history_messages) TO STDOUT'));
    reading.on('data', (chunk: Buffer) => lines.push(chunk));
    await finished(reading);
    const text = Buffer.concat(lines);
    await session.query(TABLE);
    return await measured(reading.rowCount, async () => {
      const writing = session.query(copyFrom('COPY copied FROM STDIN'));
      writing.end(text);
      await finished(writing);
    });
  } finally {
    await session.end();
  }
}
