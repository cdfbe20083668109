import { assertNever } from '../../kernel/assert-never';
import type { ConversationCommand } from './commands';
import type { ConversationKind, Role } from './events';
import type { ConversationState, Member } from './state';

/**
 * Who a permission is granted to: `anyone` with an account, any `member`, `admins` (the owner included), the
 * `owner`, `nobody`, or whoever the conversation's setting of that name says.
 */
export type Grant = 'anyone' | 'member' | 'admins' | 'owner' | 'nobody' | 'whoMayInvite' | 'whoMayPost';

export interface Permission {
  readonly command: ConversationCommand['type'];
  /** Completes the sentence "A member may …". */
  readonly what: string;
  readonly direct: Grant;
  readonly group: Grant;
}

/**
 * Who may do what: the one place that says so. Everything the commands refuse as `forbidden` is refused by a
 * row of this table.
 */
export const PERMISSIONS = {
  start: {
    command: 'StartConversation',
    what: 'start a conversation',
    direct: 'anyone',
    group: 'anyone',
  },
  changeProfile: {
    command: 'ChangeConversation',
    what: 'change title, description, picture and settings',
    direct: 'nobody',
    group: 'admins',
  },
  changeDisappearing: {
    command: 'ChangeConversation',
    what: 'change how long messages stay',
    direct: 'member',
    group: 'admins',
  },
  invite: { command: 'AddMembers', what: 'add members', direct: 'nobody', group: 'whoMayInvite' },
  inviteAdmin: { command: 'AddMembers', what: 'add members as admins', direct: 'nobody', group: 'owner' },
  inviteOwner: { command: 'AddMembers', what: 'add members as owners', direct: 'nobody', group: 'nobody' },
  removeMember: { command: 'RemoveMember', what: 'remove a member', direct: 'nobody', group: 'admins' },
  removeAdmin: { command: 'RemoveMember', what: 'remove an admin', direct: 'nobody', group: 'owner' },
  removeOwner: { command: 'RemoveMember', what: 'remove the owner', direct: 'nobody', group: 'nobody' },
  leave: { command: 'LeaveConversation', what: 'leave', direct: 'nobody', group: 'member' },
  changeRole: {
    command: 'ChangeRole',
    what: 'change roles and pass the conversation on',
    direct: 'nobody',
    group: 'owner',
  },
  block: { command: 'SetBlock', what: 'block the other', direct: 'member', group: 'nobody' },
  post: { command: 'SendMessage', what: 'send messages', direct: 'member', group: 'whoMayPost' },
  editOwn: { command: 'EditMessage', what: 'edit their own messages', direct: 'member', group: 'member' },
  editOthers: {
    command: 'EditMessage',
    what: "edit others' messages",
    direct: 'nobody',
    group: 'nobody',
  },
  deleteOwn: {
    command: 'DeleteMessage',
    what: 'delete their own messages for everyone',
    direct: 'member',
    group: 'member',
  },
  deleteOthers: {
    command: 'DeleteMessage',
    what: "delete others' messages for everyone",
    direct: 'nobody',
    group: 'admins',
  },
  react: { command: 'SetReaction', what: 'react to messages', direct: 'member', group: 'member' },
  recordDelivered: {
    command: 'RecordDelivered',
    what: 'say what their devices have received',
    direct: 'member',
    group: 'member',
  },
  recordRead: { command: 'RecordRead', what: 'say what they have read', direct: 'member', group: 'member' },
} as const satisfies Record<string, Permission>;

export type PermissionName = keyof typeof PERMISSIONS;

/** May a member of this standing do it in this conversation, as its settings are now? */
export function may(
  permission: PermissionName,
  { role }: Pick<Member, 'role'>,
  { kind, settings }: Pick<ConversationState, 'kind' | 'settings'>,
): boolean {
  const grant: Grant = PERMISSIONS[permission][kind satisfies ConversationKind];
  switch (grant) {
    case 'anyone':
    case 'member':
      return true;
    case 'admins':
      return isAdmin(role);
    case 'owner':
      return role === 'owner';
    case 'nobody':
      return false;
    case 'whoMayInvite':
    case 'whoMayPost':
      return settings[grant] === 'everyone' || isAdmin(role);
    default:
      return assertNever(grant);
  }
}

const isAdmin = (role: Role): boolean => role !== 'member';
