import {
  ANNA,
  BEN,
  CARA,
  directStarted,
  given,
  groupStarted,
  membership,
  STRANGER,
} from '../../../test/support/given-conversation';
import { asUserId } from '../../kernel/ids';
import { MEMBERS_MAX, MEMBERS_PER_COMMAND_MAX } from './state';

const people = (count: number) => Array.from({ length: count }, (_, index) => asUserId(`user-${index}`));
const direct = { type: 'StartConversation', kind: 'direct', by: ANNA, memberIds: [BEN] } as const;
const group = { type: 'StartConversation', kind: 'group', by: ANNA, memberIds: [BEN, CARA] } as const;

describe('starting a group', () => {
  it('makes the starter its owner and the others members', () => {
    given().when(group).then(groupStarted());
    const members = given(groupStarted()).state()?.members;
    expect([ANNA, BEN, CARA].map((id) => members?.get(id)?.role)).toEqual(['owner', 'member', 'member']);
  });

  it('keeps title and settings as they were said', () => {
    const said = { title: 'Tea', settings: { whoMayPost: 'admins' } } as const;
    given()
      .when({ ...group, ...said })
      .then(groupStarted(said));
  });

  it('names everybody once, the starter first', () => {
    given()
      .when({ ...group, memberIds: [CARA, ANNA, BEN, CARA] })
      .then(groupStarted({ memberIds: [ANNA, CARA, BEN] }));
  });

  it('may be of the starter alone', () => {
    given()
      .when({ ...group, memberIds: [] })
      .then(groupStarted({ memberIds: [ANNA] }));
  });

  it(`takes ${MEMBERS_PER_COMMAND_MAX} others at once, and not one more`, () => {
    const others = people(MEMBERS_PER_COMMAND_MAX);
    given()
      .when({ ...group, memberIds: [ANNA, ...others] })
      .then(groupStarted({ memberIds: [ANNA, ...others] }));
    given()
      .when({ ...group, memberIds: people(MEMBERS_PER_COMMAND_MAX + 1) })
      .refuses('too_large', 'memberIds');
  });

  it('takes as many members as it is told, and never more than the state is made for', () => {
    given()
      .when({ ...group, memberIds: people(2), membersMax: 3 })
      .then(groupStarted({ memberIds: [ANNA, ...people(2)] }));
    given()
      .when({ ...group, memberIds: people(3), membersMax: 3 })
      .refuses('too_large', 'memberIds');
    given()
      .when({ ...group, memberIds: people(MEMBERS_MAX), membersMax: MEMBERS_MAX + 1 })
      .refuses('too_large', 'memberIds');
  });

  it('is a retry when the same starter says the same, whatever has happened since', () => {
    given(groupStarted(), membership(ANNA, BEN, 'removed'), membership(ANNA, CARA, 'roleChanged', 'admin'))
      .when({ ...group, memberIds: [CARA, BEN] })
      .changesNothing();
  });

  it.each([
    ['other members', { ...group, memberIds: [BEN] }],
    ['another title', { ...group, title: 'Tea' }],
    ['other settings', { ...group, settings: { whoMayPost: 'admins' } as const }],
    ['another starter', { ...group, by: BEN, memberIds: [ANNA, CARA] }],
    ['a stranger', { ...group, by: STRANGER }],
    ['a direct conversation', { ...direct }],
  ])('is refused under a taken id with %s', (_what, command) => {
    given(groupStarted()).when(command).refuses('conflict', 'conversationId');
  });
});

describe('starting a direct conversation', () => {
  it('joins two people as equals', () => {
    given().when(direct).then(directStarted());
    const members = given(directStarted()).state()?.members;
    expect([ANNA, BEN].map((id) => members?.get(id)?.role)).toEqual(['member', 'member']);
  });

  it('finds the one that exists, whoever of the two asks', () => {
    given(directStarted()).when(direct).changesNothing();
    given(directStarted())
      .when({ ...direct, by: BEN, memberIds: [ANNA] })
      .changesNothing();
  });

  it('does not hand an existing one to a third', () => {
    given(directStarted())
      .when({ ...direct, by: CARA, memberIds: [BEN] })
      .refuses('conflict', 'conversationId');
  });

  it.each([
    ['nobody', []],
    ['oneself', [ANNA]],
    ['two others', [BEN, CARA]],
  ])('is refused with %s', (_whom, memberIds) => {
    given()
      .when({ ...direct, memberIds })
      .refuses('invalid_input', 'memberIds');
  });

  it('has no title and no settings of groups, but messages may disappear', () => {
    given()
      .when({ ...direct, title: 'Us' })
      .refuses('invalid_input', 'title');
    given()
      .when({ ...direct, settings: { whoMayPost: 'admins' } })
      .refuses('invalid_input', 'settings.whoMayPost');
    given()
      .when({ ...direct, settings: { disappearAfterSeconds: 60 } })
      .then({ ...directStarted(), settings: { disappearAfterSeconds: 60 } });
  });
});
