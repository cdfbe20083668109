import type { ConversationId } from '../../kernel/ids';
import type { LookupRequest, StoredMessage } from '../../domain/conversation/commands';

export type IndexLookup =
  | { readonly kind: 'answer'; readonly found: StoredMessage | undefined }
  /** The index has not yet seen `request.after`; ask again a little later. */
  | { readonly kind: 'behind' };

/** The permanent unique index over (conversation, sender, clientMessageId): the read model `dedupe`. */
export abstract class MessageIndex {
  /** Rejects when the store cannot be asked; the send is then refused as retryable. */
  abstract find(conversationId: ConversationId, request: LookupRequest): Promise<IndexLookup>;
}
