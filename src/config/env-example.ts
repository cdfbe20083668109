import { SETTINGS } from './settings';

/** The text of `.env.example`; `npm run env-example` writes it, and a spec holds the file against it. */
export function envExample(): string {
  const lines = Object.values(SETTINGS).map(
    ({ name, fallback, help }) =>
      `# ${help}\n${fallback === undefined ? `# ${name}=` : `${name}=${fallback}`}\n`,
  );
  return `# Every variable Parley reads, with its default. None has to be set.\n\n${lines.join('\n')}`;
}
