import {
  ANNA,
  BEN,
  CARA,
  directStarted,
  DORA,
  given,
  groupStarted,
  membership,
  settingsChanged,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asUserId, type UserId } from '../../kernel/ids';
import type { Role } from './events';
import { DEPARTED_MAX, MEMBERS_MAX, MEMBERS_PER_COMMAND_MAX } from './state';

const add = (by: UserId, userIds: readonly UserId[], role?: Role) =>
  ({ type: 'AddMembers', by, userIds, ...(role && { role }) }) as const;
const remove = (by: UserId, userId: UserId) => ({ type: 'RemoveMember', by, userId }) as const;
const leave = (by: UserId) => ({ type: 'LeaveConversation', by }) as const;
const give = (by: UserId, userId: UserId, role: Role) => ({ type: 'ChangeRole', by, userId, role }) as const;
const people = (count: number) => Array.from({ length: count }, (_, index) => asUserId(`user-${index}`));

const benIsAdmin = membership(ANNA, BEN, 'roleChanged', 'admin');

describe('adding members', () => {
  it('adds each of them once, and none who is there', () => {
    given(groupStarted({ memberIds: [ANNA, BEN] }))
      .when(add(ANNA, [CARA, BEN, DORA, CARA]))
      .then(membership(ANNA, CARA, 'joined', 'member'), membership(ANNA, DORA, 'joined', 'member'));
    given(groupStarted())
      .when(add(ANNA, [BEN, CARA]))
      .changesNothing();
    given(groupStarted()).when(add(ANNA, [])).changesNothing();
  });

  it('leaves the role of those who are there', () => {
    given(groupStarted())
      .when(add(ANNA, [BEN], 'admin'))
      .changesNothing();
  });

  it('is for admins unless everyone may invite', () => {
    given(groupStarted())
      .when(add(BEN, [DORA]))
      .refuses('forbidden');
    given(groupStarted(), benIsAdmin)
      .when(add(BEN, [DORA]))
      .then(membership(BEN, DORA, 'joined', 'member'));
    given(groupStarted({ settings: { whoMayInvite: 'everyone' } }))
      .when(add(BEN, [DORA]))
      .then(membership(BEN, DORA, 'joined', 'member'));
  });

  it('makes admins only for the owner, and never a second owner', () => {
    given(groupStarted())
      .when(add(ANNA, [DORA], 'admin'))
      .then(membership(ANNA, DORA, 'joined', 'admin'));
    given(groupStarted(), benIsAdmin)
      .when(add(BEN, [DORA], 'admin'))
      .refuses('forbidden');
    given(groupStarted())
      .when(add(ANNA, [DORA], 'owner'))
      .refuses('forbidden');
  });

  it(`takes ${MEMBERS_PER_COMMAND_MAX} at once, and not one more`, () => {
    const added = people(MEMBERS_PER_COMMAND_MAX + 1);
    given(groupStarted()).when(add(ANNA, added)).refuses('too_large', 'userIds');
    given(groupStarted())
      .when(add(ANNA, [BEN, ...added.slice(1)]))
      .then(...added.slice(1).map((userId) => membership(ANNA, userId, 'joined', 'member')));
  });

  it(`stops at ${MEMBERS_MAX} members`, () => {
    const started = groupStarted({ memberIds: [ANNA, ...people(MEMBERS_MAX - 2)] });
    given(started)
      .when(add(ANNA, [BEN]))
      .then(membership(ANNA, BEN, 'joined', 'member'));
    given(started)
      .when(add(ANNA, [BEN, CARA]))
      .refuses('too_large', 'userIds');
  });

  it('stops earlier when told so, and still knows those who are in', () => {
    const full = groupStarted({ memberIds: [ANNA, BEN] });
    given(full)
      .when({ ...add(ANNA, [CARA]), membersMax: 3 })
      .then(membership(ANNA, CARA, 'joined', 'member'));
    given(full)
      .when({ ...add(ANNA, [CARA]), membersMax: 2 })
      .refuses('too_large', 'userIds');
    given(full)
      .when({ ...add(ANNA, [BEN]), membersMax: 1 })
      .changesNothing();
  });

  it('is impossible in a direct conversation, for strangers, and where there is nothing', () => {
    given(directStarted())
      .when(add(ANNA, [CARA]))
      .refuses('forbidden');
    given(groupStarted())
      .when(add(STRANGER, [DORA]))
      .refuses('not_found');
    given()
      .when(add(ANNA, [BEN]))
      .refuses('not_found');
  });
});

describe('removing a member', () => {
  const caraIsAdmin = membership(ANNA, CARA, 'roleChanged', 'admin');

  it('is for admins; removing an admin is for the owner; nobody removes the owner', () => {
    given(groupStarted()).when(remove(BEN, CARA)).refuses('forbidden');
    given(groupStarted(), benIsAdmin)
      .when(remove(BEN, CARA))
      .then(membership(BEN, CARA, 'removed'));
    given(groupStarted(), benIsAdmin, caraIsAdmin).when(remove(BEN, CARA)).refuses('forbidden');
    given(groupStarted(), caraIsAdmin)
      .when(remove(ANNA, CARA))
      .then(membership(ANNA, CARA, 'removed'));
    given(groupStarted(), benIsAdmin).when(remove(BEN, ANNA)).refuses('forbidden');
  });

  it('a second time changes nothing; of one who never was there it is refused', () => {
    given(groupStarted(), membership(ANNA, BEN, 'removed'))
      .when(remove(ANNA, BEN))
      .changesNothing();
    given(groupStarted(), membership(BEN, BEN, 'left'))
      .when(remove(ANNA, BEN))
      .changesNothing();
    given(groupStarted()).when(remove(ANNA, DORA)).refuses('not_a_member', 'userId');
    given(groupStarted()).when(remove(BEN, DORA)).refuses('forbidden');
  });

  it('of oneself is leaving', () => {
    given(groupStarted())
      .when(remove(BEN, BEN))
      .then(membership(BEN, BEN, 'left'));
  });

  it('is impossible in a direct conversation, for strangers, and where there is nothing', () => {
    given(directStarted()).when(remove(ANNA, BEN)).refuses('forbidden');
    given(groupStarted()).when(remove(STRANGER, BEN)).refuses('not_found');
    given().when(remove(ANNA, BEN)).refuses('not_found');
  });

  it('takes away everything at once, and tells those who were there why', () => {
    const removed = [groupStarted(), membership(ANNA, BEN, 'removed')];
    given(...removed)
      .when(add(BEN, [DORA]))
      .refuses('not_a_member');
    given(...removed)
      .when(give(BEN, CARA, 'admin'))
      .refuses('not_a_member');
    given(...removed, membership(ANNA, BEN, 'joined', 'member'))
      .when(leave(BEN))
      .then(membership(BEN, BEN, 'left'));
  });

  it(`remembers the last ${DEPARTED_MAX} who left; the one before is a stranger`, () => {
    const passing = people(DEPARTED_MAX).flatMap((id) => [
      membership(ANNA, id, 'joined', 'member'),
      membership(id, id, 'left'),
    ]);
    const before = [groupStarted(), membership(ANNA, BEN, 'removed')];
    given(...before, ...passing.slice(0, -2))
      .when(give(BEN, CARA, 'admin'))
      .refuses('not_a_member');
    given(...before, ...passing)
      .when(give(BEN, CARA, 'admin'))
      .refuses('not_found');
  });
});

describe('leaving', () => {
  it('is for everybody, once', () => {
    given(groupStarted())
      .when(leave(BEN))
      .then(membership(BEN, BEN, 'left'));
    given(groupStarted(), membership(ANNA, BEN, 'removed'))
      .when(leave(BEN))
      .changesNothing();
  });

  it('of the owner passes the conversation on first: to the longest-standing admin', () => {
    given(
      groupStarted({ memberIds: [ANNA, BEN] }),
      membership(ANNA, DORA, 'joined', 'admin'),
      membership(ANNA, CARA, 'joined', 'admin'),
    )
      .when(leave(ANNA))
      .then(membership(ANNA, DORA, 'roleChanged', 'owner'), membership(ANNA, ANNA, 'left'));
  });

  it('else to the longest-standing member, by id among equals', () => {
    given(groupStarted({ memberIds: [ANNA, CARA, BEN] }), membership(ANNA, DORA, 'joined', 'member'))
      .when(leave(ANNA))
      .then(membership(ANNA, BEN, 'roleChanged', 'owner'), membership(ANNA, ANNA, 'left'));
  });

  it('of the last one leaves nobody', () => {
    given(groupStarted({ memberIds: [ANNA] }))
      .when(leave(ANNA))
      .then(membership(ANNA, ANNA, 'left'));
  });

  it('is impossible in a direct conversation, for strangers, and where there is nothing', () => {
    given(directStarted()).when(leave(ANNA)).refuses('forbidden');
    given(groupStarted()).when(leave(STRANGER)).refuses('not_found');
    given().when(leave(ANNA)).refuses('not_found');
  });
});

describe('changing a role', () => {
  it('is for the owner', () => {
    given(groupStarted())
      .when(give(ANNA, BEN, 'admin'))
      .then(benIsAdmin);
    given(groupStarted(), benIsAdmin)
      .when(give(ANNA, BEN, 'member'))
      .then(membership(ANNA, BEN, 'roleChanged', 'member'));
    given(groupStarted(), benIsAdmin)
      .when(give(BEN, CARA, 'admin'))
      .refuses('forbidden');
    given(groupStarted())
      .when(give(BEN, BEN, 'admin'))
      .refuses('forbidden');
  });

  it('to owner makes the former owner an admin at once', () => {
    given(groupStarted())
      .when(give(ANNA, BEN, 'owner'))
      .then(membership(ANNA, BEN, 'roleChanged', 'owner'), membership(ANNA, ANNA, 'roleChanged', 'admin'));
  });

  it('to what it is changes nothing', () => {
    given(groupStarted(), benIsAdmin)
      .when(give(ANNA, BEN, 'admin'))
      .changesNothing();
    given(groupStarted())
      .when(give(ANNA, ANNA, 'owner'))
      .changesNothing();
  });

  it('never leaves a conversation without an owner', () => {
    given(groupStarted())
      .when(give(ANNA, ANNA, 'member'))
      .refuses('conflict', 'role');
  });

  it('needs a member', () => {
    given(groupStarted())
      .when(give(ANNA, DORA, 'admin'))
      .refuses('not_a_member', 'userId');
    given(groupStarted())
      .when(give(BEN, DORA, 'admin'))
      .refuses('forbidden');
  });

  it('is impossible in a direct conversation, for strangers, and where there is nothing', () => {
    given(directStarted())
      .when(give(ANNA, BEN, 'admin'))
      .refuses('forbidden');
    given(groupStarted())
      .when(give(STRANGER, BEN, 'admin'))
      .refuses('not_found');
    given()
      .when(give(ANNA, BEN, 'admin'))
      .refuses('not_found');
  });
});

describe('blocking', () => {
  const block = (by: UserId, on: boolean) => ({ type: 'SetBlock', by, on }) as const;

  it('names who is blocked, once, and is taken back by the one who did it', () => {
    const blocked = membership(ANNA, BEN, 'blocked');
    given(directStarted()).when(block(ANNA, true)).then(blocked);
    given(directStarted(), blocked)
      .when(block(ANNA, false))
      .then(membership(ANNA, BEN, 'unblocked'));
    given(directStarted(), blocked).when(block(BEN, false)).changesNothing();
    given(directStarted(), blocked)
      .when(block(BEN, true))
      .then(membership(BEN, ANNA, 'blocked'));
    given(directStarted()).when(block(ANNA, false)).changesNothing();
  });

  it('is for direct conversations, for those who are in them', () => {
    given(groupStarted()).when(block(ANNA, true)).refuses('forbidden');
    given(directStarted()).when(block(STRANGER, true)).refuses('not_found');
    given().when(block(ANNA, true)).refuses('not_found');
  });
});

describe('settings of a conversation', () => {
  it('decide at once', () => {
    given(groupStarted(), settingsChanged({ whoMayInvite: 'everyone' }))
      .when(add(BEN, [DORA]))
      .then(membership(BEN, DORA, 'joined', 'member'));
  });
});
