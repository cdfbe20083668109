import { NodeNotices } from '../../application/ports/node-notices';

/** There are no other nodes to tell. */
export class MemoryNodeNotices extends NodeNotices {
  override tellOthers(): void {
    return;
  }

  override subscribe(): () => void {
    return () => undefined;
  }
}
