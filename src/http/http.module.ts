import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { AccessGuard } from './access.guard';
import { AuthController } from './auth.controller';
import { BlocksController } from './blocks.controller';
import { ConversationsController } from './conversations.controller';
import { DevicesController } from './devices.controller';
import { HealthController } from './health.controller';
import { MembersController } from './members.controller';
import { MessageRate } from './message-rate';
import { MessagesController } from './messages.controller';
import { ProblemFilter } from './problem.filter';
import { UsersController } from './users.controller';

/** REST. Everything injected comes from global modules; `setUpEdge(app)` completes it. */
@Module({
  controllers: [
    AuthController,
    UsersController,
    DevicesController,
    BlocksController,
    ConversationsController,
    MembersController,
    MessagesController,
    HealthController,
  ],
  providers: [AccessGuard, MessageRate, { provide: APP_FILTER, useClass: ProblemFilter }],
})
export class HttpModule {}
