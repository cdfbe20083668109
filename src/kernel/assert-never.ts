/** Ends every switch over a union: a new member fails to compile, and an impossible one is a bug that says so. */
export function assertNever(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`);
}
