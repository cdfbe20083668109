import type { EphemeralFrame } from '../../application/ports/presence';
import type { DeviceId, UserId } from '../../kernel/ids';
import { MemoryEphemeralBus } from '../memory/memory-ephemeral-bus';
import type { NodeMail } from './node-mail';
import type { RedisSocketDirectory } from './redis-socket-directory';

/** Receivers whose nodes are looked up one by one; a frame to more of them goes to all nodes. */
export const LOOKED_UP_USERS_MAX = 64;
const TOPIC = 'frame';

interface Head {
  readonly userIds: readonly string[];
  readonly exceptSessionId?: string;
  readonly onlyDeviceId?: string;
}

/**
 * The bus over all nodes. This node's own sockets are served at once and without Redis; other nodes get the frame
 * when one of their sockets is a receiver's, as the directory knows it.
 */
export class RedisEphemeralBus extends MemoryEphemeralBus {
  constructor(
    private readonly mail: NodeMail,
    private readonly directory: RedisSocketDirectory,
  ) {
    super();
    mail.on(TOPIC, (head, body) => {
      super.publish(frameOf(head as Head, body));
    });
  }

  override publish(frame: EphemeralFrame): void {
    super.publish(frame);
    void this.publishElsewhere(frame);
  }

  private async publishElsewhere({ bytes, ...head }: EphemeralFrame): Promise<void> {
    if (head.userIds.length > LOOKED_UP_USERS_MAX) {
      this.mail.send('all', TOPIC, head, bytes);
      return;
    }
    try {
      const nodes = await this.directory.nodesOf(head.userIds);
      for (const [node, userIds] of nodes) this.mail.send(node, TOPIC, { ...head, userIds }, bytes);
    } catch {
      // Redis is away: a hint for another node is lost.
    }
  }
}

const frameOf = ({ userIds, exceptSessionId, onlyDeviceId }: Head, bytes: Buffer): EphemeralFrame => ({
  userIds: userIds as readonly UserId[],
  ...(exceptSessionId === undefined ? {} : { exceptSessionId }),
  ...(onlyDeviceId === undefined ? {} : { onlyDeviceId: onlyDeviceId as DeviceId }),
  bytes,
});
