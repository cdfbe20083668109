import { randomUUID } from 'node:crypto';
import type { Person } from './people';

/** Makes a group of `people`, begun by the first of them. @returns its id. @throws Error with the server's answer */
export async function makeGroup(port: number, people: readonly Person[]): Promise<string> {
  const [owner, ...others] = people;
  if (owner === undefined) throw new Error('a group has members');
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/conversations`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${owner.token}`,
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
    },
    body: JSON.stringify({ kind: 'group', title: 'bench', memberIds: others.map(({ userId }) => userId) }),
  });
  const body = (await answer.json()) as { readonly id?: string };
  if (body.id === undefined) throw new Error(`no group: ${JSON.stringify(body)}`);
  return body.id;
}
