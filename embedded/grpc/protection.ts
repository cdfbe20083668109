import { readFile } from 'node:fs/promises';
import type { Accounts } from './access';

export const LOOPBACK = '127.0.0.1';
const LOOPBACK_HOSTS: ReadonlySet<string> = new Set([LOOPBACK, '::1', 'localhost']);

export const isLoopback = (host: string): boolean => LOOPBACK_HOSTS.has(host);

/** Where to listen, and the files that say by what the door is protected. */
export interface ProtectionFiles {
  readonly host: string;
  /** PEM; both or none. */
  readonly certificateFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** JSON: `{"<user>": {"password": "…", "groups": ["$admins"]}}`; a bare password makes an administrator. */
  readonly usersFile?: string | undefined;
}

export interface Protection {
  readonly host: string;
  readonly tls?: { readonly certificate: Buffer; readonly key: Buffer };
  readonly accounts?: Accounts;
}

/** @throws Error naming the file that cannot be used, and never what is in it */
export async function readProtection(files: ProtectionFiles): Promise<Protection> {
  const { host, certificateFile, keyFile, usersFile } = files;
  return {
    host,
    ...(certificateFile === undefined || keyFile === undefined
      ? {}
      : { tls: { certificate: await readFile(certificateFile), key: await readFile(keyFile) } }),
    ...(usersFile === undefined
      ? {}
      : { accounts: accountsOf(await readFile(usersFile, 'utf8'), usersFile) }),
  };
}

function accountsOf(text: string, file: string): Accounts {
  const unusable = (why: string): Error => new Error(`The users' file ${file} ${why}.`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw unusable('is no JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw unusable('is no JSON object');
  const entries = Object.entries(json).map(([name, value]: [string, unknown]) => {
    if (name === '' || name.includes(':')) throw unusable('has a user whose name is empty or has a colon');
    const account = accountOf(value);
    if (account === undefined)
      throw unusable(`gives ${name} no password, or groups that are no list of names`);
    return [name, account] as const;
  });
  if (entries.length === 0) throw unusable('has no users');
  return Object.fromEntries(entries);
}

function accountOf(value: unknown): Accounts[string] | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value !== 'object' || value === null) return undefined;
  const { password, groups = [] } = value as { readonly password?: unknown; readonly groups?: unknown };
  if (typeof password !== 'string' || password === '' || !Array.isArray(groups)) return undefined;
  return groups.every((group) => typeof group === 'string') ? { password, groups } : undefined;
}
