import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCENARIOS } from '../test/chaos/scenarios';

const ROOT = join(__dirname, '..');
const text = readFileSync(join(ROOT, 'docs', 'guarantees.md'), 'utf8');
const flat = text.replaceAll(/\s+/g, ' ');
const FILE = /`((?:src|projections|embedded|sdk|tools|test|docs)\/[^`]+)`/g;
const TEST = /`([^`]+\.spec\.ts)` › `([^`]+)`/g;
const SCENARIO_LIST = /scenarios? ((?:`[a-z-]+`(?:, )?)+)/g;

describe('docs/guarantees.md', () => {
  const files = [...new Set(Array.from(flat.matchAll(FILE), ([, file]) => file ?? ''))];
  const tests = Array.from(flat.matchAll(TEST), ([, file, name]) => [file ?? '', name ?? ''] as const);
  const scenarios = Array.from(flat.matchAll(SCENARIO_LIST), ([, list]) => list ?? '').flatMap((list) =>
    Array.from(list.matchAll(/`([a-z-]+)`/g), ([, name]) => name ?? ''),
  );

  it('speaks of all promises', () => {
    const promises = Array.from(text.matchAll(/^### (.+)$/gm), ([, title]) => title);
    expect(promises.length).toBeGreaterThanOrEqual(11);
    expect(tests.length).toBeGreaterThan(20);
    for (const part of text.split(/^### /m).slice(1)) {
      expect(part).toContain('- Carried by `');
      expect(part).toContain('- Tests: `');
    }
  });

  it.each(files)('names %s, which exists', (file) => {
    expect(existsSync(join(ROOT, file))).toBe(true);
  });

  it.each(tests)('%s has the test "%s"', (file, name) => {
    expect(readFileSync(join(ROOT, file), 'utf8')).toContain(`'${name}'`);
  });

  it('names scenarios that there are, and leaves none of them out', () => {
    const known = SCENARIOS.map(({ name }) => name);
    expect(scenarios.filter((name) => !known.includes(name))).toEqual([]);
    // They disturb everything at once, and belong to no promise alone.
    const everywhere = ['event-loop-blocked', 'rolling-restart', 'token-expiry'];
    expect(known.filter((name) => !scenarios.includes(name)).sort()).toEqual(everywhere);
  });

  it('lists the scenarios as they are, each with invariants that the judge has', () => {
    const part = (heading: string): string => text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
    const cells = (heading: string): string[][] =>
      part(heading)
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .slice(2)
        .map((line) =>
          line
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim()),
        );
    const judged = new Set(cells("The judge's invariants").map(([number]) => number));
    const listed = cells('The scenarios');
    expect(listed.map(([name, what]) => [name, what])).toEqual(
      SCENARIOS.map(({ name, what }) => [`\`${name}\``, what]),
    );
    for (const [, , numbers = ''] of listed) {
      expect(numbers.split(', ').filter((number) => !judged.has(number))).toEqual([]);
    }
  });
});
