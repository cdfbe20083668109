import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { webFolder } from './web-page';

describe('webFolder', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'parley-web-'));
    mkdirSync(join(root, 'dist', 'src', 'http'), { recursive: true });
    writeFileSync(join(root, 'package.json'), '{}');
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it('is found from the built code', () => {
    mkdirSync(join(root, 'web'));
    writeFileSync(join(root, 'web', 'index.html'), '<!doctype html>');
    expect(webFolder(join(root, 'dist', 'src', 'http'))).toBe(join(root, 'web'));
  });

  it('is none without a page', () => {
    expect(webFolder(join(root, 'dist', 'src', 'http'))).toBeUndefined();
    mkdirSync(join(root, 'web'));
    expect(webFolder(join(root, 'dist', 'src', 'http'))).toBeUndefined();
  });
});
