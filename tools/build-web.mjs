// Turns the SDK into plain ES modules for browsers, file by file, under `web/modules`: no bundler, and what the
// page runs is what the sources say. Follows imports from the SDK's browser entry; types vanish with their imports.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'web', 'modules');
const entry = join(root, 'sdk', 'browser', 'index.ts');
const IMPORT = /(\bfrom\s*|\bimport\s*)(['"])(\.[^'"]*)\2/g;
const FILES_MAX = 100;

function sourceOf(from, specifier) {
  const path = resolve(dirname(from), specifier);
  for (const candidate of [`${path}.ts`, join(path, 'index.ts')]) {
    try {
      return { path: candidate, text: readFileSync(candidate, 'utf8') };
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    }
  }
  throw new Error(`${relative(root, from)} imports ${specifier}, which is not there`);
}

const moduleOf = (path) => join(target, relative(root, path)).replace(/\.ts$/, '.js');

rmSync(target, { recursive: true, force: true });
const waiting = [{ path: entry, text: readFileSync(entry, 'utf8') }];
const written = new Set();
while (waiting.length > 0) {
  const { path, text } = waiting.pop();
  if (written.has(path)) continue;
  if (written.add(path).size > FILES_MAX) throw new Error('the browser build follows too many imports');
  const { code } = transformSync(text, {
    filename: path,
    swcrc: false,
    configFile: false,
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' },
  });
  const output = code.replace(IMPORT, (_all, keyword, quote, specifier) => {
    const source = sourceOf(path, specifier);
    waiting.push(source);
    const to = relative(dirname(moduleOf(path)), moduleOf(source.path));
    return `${keyword}${quote}${to.startsWith('.') ? to : `./${to}`}${quote}`;
  });
  mkdirSync(dirname(moduleOf(path)), { recursive: true });
  writeFileSync(moduleOf(path), output);
}
