import { Global, Module } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { ConversationAccess } from './access';
import { Executor } from './executor';
import { COMMAND_HANDLERS, QUERY_HANDLERS } from './handlers';
import { PastConversations } from './past-conversations';
import { ReadGate } from './read-gate';
import { TargetMessages } from './target-messages';
import { VisibleEvents } from './visible-events';

/** Commands and queries, over the ports and the ApplicationSettings that the composition root provides. */
@Global()
@Module({
  imports: [CqrsModule],
  providers: [
    Executor,
    ConversationAccess,
    PastConversations,
    ReadGate,
    TargetMessages,
    VisibleEvents,
    ...COMMAND_HANDLERS,
    ...QUERY_HANDLERS,
  ],
  exports: [Executor, TargetMessages, CqrsModule],
})
export class ApplicationModule {}
