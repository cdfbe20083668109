/** Groups and roles that mean something to the node. */
export const ADMINS = '$admins';
export const OPERATORS = '$ops';
export const EVERYBODY = '$all';

export type AccessKind = 'read' | 'write' | 'delete' | 'metaRead' | 'metaWrite';

/** Roles by what they may do; what is absent is decided by the default for such streams. */
export type Lists = { readonly [Kind in AccessKind]?: readonly string[] };

const KEYS = { read: '$r', write: '$w', delete: '$d', metaRead: '$mr', metaWrite: '$mw' } as const;

const allKinds = (roles: readonly string[]): Required<Lists> => ({
  read: roles,
  write: roles,
  delete: roles,
  metaRead: roles,
  metaWrite: roles,
});

/** As EventStoreDB ships them. */
export const DEFAULT_LISTS = {
  $userStreamAcl: allKinds([EVERYBODY]),
  $systemStreamAcl: allKinds([ADMINS]),
} as const;

/**
 * The access list under a key of some JSON. What is no list is none: the defaults then hold, never nobody's.
 */
export function listOf(json: unknown, key: string): Lists {
  const value = fieldOf(json, key);
  if (value === '$userStreamAcl' || value === '$systemStreamAcl') return DEFAULT_LISTS[value];
  const lists: { [Kind in AccessKind]?: readonly string[] } = {};
  for (const [kind, field] of Object.entries(KEYS) as [AccessKind, string][]) {
    const roles = rolesOf(fieldOf(value, field));
    if (roles !== undefined) lists[kind] = roles;
  }
  return lists;
}

function rolesOf(value: unknown): readonly string[] | undefined {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) return undefined;
  return value.filter((role): role is string => typeof role === 'string');
}

function fieldOf(json: unknown, key: string): unknown {
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, key)) return undefined;
  return (json as Readonly<Record<string, unknown>>)[key];
}
