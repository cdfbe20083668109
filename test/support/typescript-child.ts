import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

/** Lets a plain Node require our sources, compiled as the build compiles them. */
const LOADER = `
  const { transformFileSync } = require('@swc/core');
  require('reflect-metadata');
  require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file).code, file);
  require(process.argv[1]);
`;

/**
 * A process of its own for what Jest cannot do to itself: be killed. Talks over IPC (`message`, `send`); what
 * it prints goes to our standard error.
 * @param script path of a TypeScript file, absolute
 */
export function startTypeScript(
  script: string,
  args: readonly string[] = [],
  options: {
    /** A program that starts the process, with its arguments. */
    readonly wrapper?: readonly string[];
    readonly environment?: Readonly<Record<string, string>>;
    /** Gives the standard output to the parent, as `child.stdout`. */
    readonly pipe?: boolean;
    /** Gives the standard error to the parent, too, as `child.stderr`. */
    readonly pipeErrors?: boolean;
  } = {},
): ChildProcess {
  const wrapper = options.wrapper ?? [];
  const [command, ...rest] = [...wrapper, process.execPath, '-e', LOADER, script, ...args] as [string];
  // Jest's own variables make a child believe that it is a worker.
  const { JEST_WORKER_ID: _worker, NODE_OPTIONS: _options, ...env } = process.env;
  return spawn(command, rest, {
    cwd: ROOT,
    env: { ...env, ...options.environment },
    stdio: [
      'ignore',
      options.pipe === true ? 'pipe' : 2,
      options.pipeErrors === true ? 'pipe' : 'inherit',
      'ipc',
    ],
  });
}

/** The exit code, or the signal that ended it. */
export async function exitOf(child: ChildProcess): Promise<number | string> {
  if (child.exitCode !== null) return child.exitCode;
  if (child.signalCode !== null) return child.signalCode;
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(code ?? String(signal));
    });
  });
}
