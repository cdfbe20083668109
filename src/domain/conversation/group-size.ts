import type { AddMembers, StartConversation } from './commands';
import type { Decision } from './decision';
import { refuse } from './refusals';
import { MEMBERS_MAX, MEMBERS_PER_COMMAND_MAX } from './state';

/** The operator may allow smaller groups than the state is made for, but no larger ones. */
export const membersMaxOf = ({ membersMax }: Pick<StartConversation | AddMembers, 'membersMax'>): number =>
  Math.min(membersMax ?? MEMBERS_MAX, MEMBERS_MAX);

/** Undefined: so many can be added by one command, which must fit into one append. */
export const tooManyAtOnce = (added: number, field: string): Decision | undefined =>
  added > MEMBERS_PER_COMMAND_MAX
    ? refuse('too_large', `At most ${MEMBERS_PER_COMMAND_MAX} people can be added at once.`, field)
    : undefined;

export const tooManyMembers = (membersMax: number, field: string): Decision =>
  refuse('too_large', `A conversation has at most ${membersMax} members.`, field);
