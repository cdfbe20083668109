import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '..');
const FILE = /`((?:src|projections|embedded|sdk|tools|test)\/[^`]+\.ts)`/g;

describe('docs/walkthrough.md', () => {
  const text = readFileSync(join(ROOT, 'docs', 'walkthrough.md'), 'utf8');
  const files = Array.from(text.matchAll(FILE), ([, file]) => file ?? '');

  it('walks through the whole of it', () => {
    expect(new Set(files).size).toBeGreaterThan(30);
  });

  it.each([...new Set(files)])('names %s, which exists', (file) => {
    expect(existsSync(join(ROOT, file))).toBe(true);
  });
});
