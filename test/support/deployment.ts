import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerfileParser } from 'dockerfile-ast';
import { parse } from 'yaml';

export const ROOT = join(__dirname, '..', '..');
export const readText = (...path: readonly string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

export interface Service {
  readonly image?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly depends_on?: object;
  readonly healthcheck?: object;
  readonly mem_limit?: string;
  readonly read_only?: boolean;
  readonly build?: { readonly target: string };
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: object;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const VARIABLE = /\$\$|\$\{(\w+):-([^}]*)\}/g;

/** docker-compose.yml as Compose would read it, with nothing in its environment. */
export const readCompose = (): Compose =>
  interpolated(parse(readText('docker-compose.yml'), { merge: true })) as Compose;

/** After parsing, as Compose does it: a default that is empty is an empty text. */
function interpolated(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.replace(VARIABLE, (_whole, name?: string, fallback: string = '') =>
      name === undefined ? '$' : fallback,
    );
  }
  if (Array.isArray(value)) return value.map(interpolated);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, interpolated(inner)]));
}

export interface Image {
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string | undefined;
}

/** What the last stages of the Dockerfile have in common: how the program is run. */
export function readImage(): Image {
  const dockerfile = DockerfileParser.parse(readText('Dockerfile'));
  const [command] = dockerfile.getCMDs();
  const health = dockerfile.getHEALTHCHECKs()[0]?.getRawArgumentsContent() ?? '';
  const environment = dockerfile
    .getENVs()
    .flatMap((env) => env.getProperties().map((one) => [one.getName(), one.getValue() ?? ''] as const));
  const users = dockerfile.getInstructions().filter((one) => one.getKeyword() === 'USER');
  return {
    command: (command?.getJSONStrings() ?? []).map((one) => one.getJSONValue()),
    healthcheck: JSON.parse(/CMD (\[.*\])$/s.exec(health)?.[1] ?? '[]') as string[],
    environment: Object.fromEntries(environment),
    user: users.at(-1)?.getRawArgumentsContent() ?? undefined,
  };
}
