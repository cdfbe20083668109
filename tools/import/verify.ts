import type { InboxReads } from '../../src/application/ports/read-models';
import { IMPORTER_ID } from './keys';
import type { ImportedConversation } from './run-import';

/**
 * Compares what the files hold with what the read models say. The importer is in every conversation from its
 * first event on and never reads or writes anything, so its unread count is the number of messages: folded by the
 * domain, counted by the projection, and here by the parser.
 *
 * @returns a sentence for each difference; other people may have written since, which is no difference
 */
export async function differences(
  inbox: InboxReads,
  expected: readonly ImportedConversation[],
): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const { conversationId, title, messages } of expected) {
    const view = await inbox.conversation(IMPORTER_ID, conversationId);
    if (view === undefined) {
      if (messages > 0) sentences.push(`${title}: ${messages} messages in the files, no conversation`);
    } else if (view.unreadCount < messages || view.lastOrdinal < messages) {
      const told = `${view.lastOrdinal} in the log, ${view.unreadCount} unread`;
      sentences.push(`${title}: ${messages} messages in the files, ${told}`);
    }
  }
  return sentences;
}
