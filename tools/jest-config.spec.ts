import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface JestConfig {
  readonly testTimeout?: number;
  readonly projects: readonly { readonly displayName: string; readonly testTimeout?: number }[];
}

describe('jest.config.js', () => {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- Jest's own configuration is CommonJS
  const config = require('../jest.config.js') as JestConfig;

  it('gives every test two minutes, at the one place where Jest reads it', () => {
    expect(config.testTimeout).toBe(120_000);
    for (const project of config.projects) expect(project).not.toHaveProperty('testTimeout');
  });

  it('is what this run goes by: a test may take longer than the five seconds Jest gives by default', async () => {
    expect(readFileSync(join(__dirname, '..', 'jest.config.js'), 'utf8')).toContain('testTimeout: 120_000');
    await new Promise((resolve) => setTimeout(resolve, 5_500));
  });
});
