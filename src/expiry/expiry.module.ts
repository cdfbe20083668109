import { Module } from '@nestjs/common';
import { ExpiredMessages } from './expired-messages';

/** The end of messages that disappear, on nodes that are workers. */
@Module({ providers: [ExpiredMessages] })
export class ExpiryModule {}
