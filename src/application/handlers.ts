import {
  AddMembersHandler,
  ChangeConversationHandler,
  ChangeRoleHandler,
  LeaveConversationHandler,
  RemoveMemberHandler,
  SetBlockHandler,
  StartConversationHandler,
} from './commands/conversation.handlers';
import {
  DeleteMessageHandler,
  EditMessageHandler,
  MarkReadHandler,
  SetReactionHandler,
} from './commands/message.handlers';
import { SendMessageHandler } from './commands/send-message.handler';
import {
  GetConversationAtHandler,
  GetConversationHandler,
  GetInboxHandler,
  GetMembersHandler,
} from './queries/conversation.handlers';
import {
  GetEventsHandler,
  GetMessageHandler,
  GetMessagesHandler,
  GetReceiptsHandler,
  GetVersionsHandler,
} from './queries/message.handlers';

/** One for each class of commands.ts, which a spec checks: the bus only warns of a second one. */
export const COMMAND_HANDLERS = [
  SendMessageHandler,
  EditMessageHandler,
  DeleteMessageHandler,
  SetReactionHandler,
  StartConversationHandler,
  ChangeConversationHandler,
  AddMembersHandler,
  RemoveMemberHandler,
  LeaveConversationHandler,
  ChangeRoleHandler,
  SetBlockHandler,
  MarkReadHandler,
];

/** One for each class of queries.ts. */
export const QUERY_HANDLERS = [
  GetInboxHandler,
  GetConversationHandler,
  GetConversationAtHandler,
  GetMembersHandler,
  GetMessagesHandler,
  GetMessageHandler,
  GetEventsHandler,
  GetReceiptsHandler,
  GetVersionsHandler,
];
