import { Module } from '@nestjs/common';
import { PresenceWatch } from './presence-watch';

/** Presence as watchers on this node see it; PresenceStore comes from the composition root. */
@Module({ providers: [PresenceWatch], exports: [PresenceWatch] })
export class PresenceModule {}
