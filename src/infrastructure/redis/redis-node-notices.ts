import { NodeNotices, type NodeNotice } from '../../application/ports/node-notices';
import type { NodeMail } from './node-mail';

const TOPIC = 'notice';

/** Notices by the mail of nodes. */
export class RedisNodeNotices extends NodeNotices {
  private readonly listeners = new Set<(notice: NodeNotice) => void>();

  constructor(private readonly mail: NodeMail) {
    super();
    mail.on(TOPIC, (head) => {
      if (!isNotice(head)) return;
      for (const listener of [...this.listeners]) listener(head);
    });
  }

  override tellOthers(notice: NodeNotice): void {
    this.mail.send('all', TOPIC, notice);
  }

  override subscribe(listener: (notice: NodeNotice) => void): () => void {
    const own = (notice: NodeNotice): void => {
      listener(notice);
    };
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }
}

const isText = (value: unknown): boolean => value === undefined || typeof value === 'string';

/** Nodes of a later version may say what this one does not understand. */
function isNotice(head: unknown): head is NodeNotice {
  if (typeof head !== 'object' || head === null) return false;
  const { kind, userId, deviceId, signInId } = head as Record<string, unknown>;
  return kind === 'signOut' && typeof userId === 'string' && isText(deviceId) && isText(signInId);
}
