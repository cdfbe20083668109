import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Grant, Permission } from './permissions';
import { PERMISSIONS } from './permissions';

const DOCS = readFileSync(join(__dirname, '../../../docs/permissions.md'), 'utf8');

/** How the page says a grant: total, so that a new one does not compile until the page can say it. */
const WORDS: Readonly<Record<Grant, string>> = {
  anyone: 'anyone with an account',
  member: 'any member',
  admins: 'owner, admins',
  owner: 'owner',
  nobody: '–',
  whoMayInvite: 'setting `whoMayInvite`',
  whoMayPost: 'setting `whoMayPost`',
};

/** Rows of the table under a heading, without its head. */
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
        .map((cell) => cell.trim()),
    );
}

describe('docs/permissions.md', () => {
  it('says exactly what the table of permissions says', () => {
    expect(table('Who may do what')).toEqual(
      Object.values<Permission>(PERMISSIONS).map(({ what, command, direct, group }) => [
        what,
        `\`${command}\``,
        WORDS[direct],
        WORDS[group],
      ]),
    );
  });
});
