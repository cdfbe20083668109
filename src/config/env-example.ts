import { SETTINGS, type Setting } from './settings';

/** The text of `.env.example`; `npm run env-example` writes it, and a spec holds the file against it. */
export function envExample(): string {
  const lines = Object.values(SETTINGS).map(
    ({ name, fallback, help, secret }: Setting<unknown>) =>
      `# ${help}\n${fallback === undefined ? `# ${name}=` : `${name}=${fallback}`}\n` +
      (secret === true ? `# ${name}_FILE=\n` : ''),
  );
  return `# Every variable Parley reads, with its default. None has to be set.\n# Where NAME_FILE is listed, it may name a file that holds the value instead.\n\n${lines.join('\n')}`;
}
