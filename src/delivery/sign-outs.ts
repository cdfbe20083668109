import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { NodeNotices } from '../application/ports/node-notices';
import { SocketControl, type SignedOut } from '../application/ports/socket-control';
import type { UserId } from '../kernel/ids';
import { Hub } from './hub';

/** Closes sockets on this node at once, and asks the other nodes to close theirs. */
@Injectable()
export class SignOuts extends SocketControl implements OnModuleDestroy {
  private readonly endNotices: () => void;

  constructor(
    private readonly hub: Hub,
    private readonly notices: NodeNotices,
  ) {
    super();
    this.endNotices = notices.subscribe(({ userId, deviceId, signInId }) => {
      this.signOutHere(userId, {
        ...(deviceId === undefined ? {} : { deviceId }),
        ...(signInId === undefined ? {} : { signInId }),
      });
    });
  }

  onModuleDestroy(): void {
    this.endNotices();
  }

  override signOut(userId: UserId, which: SignedOut): void {
    this.signOutHere(userId, which);
    this.notices.tellOthers({ kind: 'signOut', userId, ...which });
  }

  override signOutHere(userId: UserId, which: SignedOut): void {
    this.hub.signOut(userId, which);
  }
}
