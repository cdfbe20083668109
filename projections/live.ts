import { cursors } from './cursors/cursors.projection';
import { dedupe } from './dedupe/dedupe.projection';
import { history } from './history/history.projection';
import { inbox } from './inbox/inbox.projection';
import type { Projection } from './projection';

/** The read models that the node's projector keeps up to date, in one transaction per batch. */
export const LIVE_PROJECTIONS: readonly Projection[] = [inbox, history, cursors, dedupe];
/** Name of the lease over them. */
export const LIVE_GROUP = 'live';
