import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLOSE_CODES } from './close-codes';
import { ERRORS } from './errors';
import { CLIENT_FRAMES } from './frames';
import { DEFAULT_LIMITS } from './limits';

const DOCS = readFileSync(join(__dirname, '../../docs/protocol.md'), 'utf8');

/** Rows of the table under a heading, without its head: cells as plain text. */
function table(heading: string): string[][] {
  const section = DOCS.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
}

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

describe('docs/protocol.md', () => {
  it('lists exactly the errors of the error table', () => {
    expect(table('Errors')).toEqual(
      Object.entries(ERRORS).map(([code, { status, retryable }]) => [code, String(status), yesNo(retryable)]),
    );
  });

  it('lists exactly the close codes, and whether to come back', () => {
    expect(table('Close codes').map(([code, back]) => [code, back])).toEqual(
      Object.values(CLOSE_CODES).map(({ code, reconnect }) => [String(code), yesNo(reconnect)]),
    );
  });

  it('lists exactly the frames a client may send', () => {
    expect(table('What a client may send').map(([frame]) => frame)).toEqual(Object.keys(CLIENT_FRAMES));
  });

  it('lists exactly the limits with their defaults', () => {
    expect(table('Limits')).toEqual(
      Object.entries(DEFAULT_LIMITS).map(([name, value]: [string, number]) => [name, String(value)]),
    );
  });
});
