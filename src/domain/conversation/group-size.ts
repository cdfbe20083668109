import type { AddMembers, StartConversation } from './commands';
import type { Decision } from './decision';
import { refuse } from './refusals';
import { MEMBERS_MAX } from './state';

/** The operator may allow smaller groups than the state is made for, but no larger ones. */
export const membersMaxOf = ({ membersMax }: Pick<StartConversation | AddMembers, 'membersMax'>): number =>
  Math.min(membersMax ?? MEMBERS_MAX, MEMBERS_MAX);

export const tooManyMembers = (membersMax: number, field: string): Decision =>
  refuse('too_large', `A conversation has at most ${membersMax} members.`, field);
