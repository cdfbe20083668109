import type { ConversationCommand } from './commands';
import type { Role } from './events';
import { may, PERMISSIONS, type PermissionName } from './permissions';
import { DEFAULT_SETTINGS } from './settings';

const ROLES: readonly Role[] = ['owner', 'admin', 'member'];

/**
 * Total by type: a new command does not compile until it stands here, and then fails until the table has it. False:
 * the server's own, which nobody may give.
 */
const COMMANDS: Readonly<Record<ConversationCommand['type'], boolean>> = {
  StartConversation: true,
  ChangeConversation: true,
  AddMembers: true,
  RemoveMember: true,
  LeaveConversation: true,
  ChangeRole: true,
  SetBlock: true,
  SendMessage: true,
  EditMessage: true,
  DeleteMessage: true,
  ExpireMessage: false,
  SetReaction: true,
  RecordDelivered: true,
  RecordRead: true,
};

const names = Object.keys(PERMISSIONS) as PermissionName[];
const allowed = (name: PermissionName, kind: 'direct' | 'group', settings = DEFAULT_SETTINGS): string =>
  ROLES.filter((role) => may(name, { role }, { kind, settings })).join(' ');

describe('the table of permissions', () => {
  it('has a row for every command', () => {
    const given = Object.entries(COMMANDS).flatMap(([type, isGiven]) => (isGiven ? [type] : []));
    expect(new Set(names.map((name) => PERMISSIONS[name].command))).toEqual(new Set(given));
  });

  it('reads like this in a group', () => {
    expect(Object.fromEntries(names.map((name) => [name, allowed(name, 'group')]))).toEqual({
      start: 'owner admin member',
      changeProfile: 'owner admin',
      changeDisappearing: 'owner admin',
      invite: 'owner admin',
      inviteAdmin: 'owner',
      inviteOwner: '',
      removeMember: 'owner admin',
      removeAdmin: 'owner',
      removeOwner: '',
      leave: 'owner admin member',
      changeRole: 'owner',
      block: '',
      post: 'owner admin member',
      editOwn: 'owner admin member',
      editOthers: '',
      deleteOwn: 'owner admin member',
      deleteOthers: 'owner admin',
      react: 'owner admin member',
      recordDelivered: 'owner admin member',
      recordRead: 'owner admin member',
    });
  });

  it('gives both of a direct conversation the same, and nothing that changes who they are', () => {
    const both = names.filter((name) => allowed(name, 'direct') === 'owner admin member');
    expect(both).toEqual([
      'start',
      'changeDisappearing',
      'block',
      'post',
      'editOwn',
      'deleteOwn',
      'react',
      'recordDelivered',
      'recordRead',
    ]);
    expect(names.filter((name) => !both.includes(name)).map((name) => allowed(name, 'direct'))).toEqual(
      Array.from({ length: names.length - both.length }, () => ''),
    );
  });

  it('follows the settings', () => {
    const open = { ...DEFAULT_SETTINGS, whoMayInvite: 'everyone' } as const;
    const quiet = { ...DEFAULT_SETTINGS, whoMayPost: 'admins' } as const;
    expect(allowed('invite', 'group', open)).toBe('owner admin member');
    expect(allowed('inviteAdmin', 'group', open)).toBe('owner');
    expect(allowed('post', 'group', quiet)).toBe('owner admin');
    expect(allowed('post', 'direct', quiet)).toBe('owner admin member');
  });
});
