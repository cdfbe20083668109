import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ReadReq, ReadResp } from '@eventstore/db-client/generated/persistent_pb';
import type { Access, Caller } from '../access';
import type { AccessWatch } from '../access-watch';
import { accessDenied, exhausted, groupDropped, groupFull, invalidArgument, toCallError } from '../errors';
import { originalOf } from '../links';
import { Outbound } from '../outbound';
import { record, uuidText } from '../wire';
import type { Consumer } from './consumer';
import type { Group, NackAction } from './group';
import type { Groups } from './groups';
import type { Message } from './messages';
import { targetOf } from './requests';

type ReadCall = ServerDuplexStream<ReadReq, ReadResp>;

/**
 * As the protocol numbers them: unknown, park, retry, skip, stop. A server of 24.10 takes `stop` for `skip`.
 */
const ACTIONS: readonly NackAction[] = ['retry', 'park', 'retry', 'skip', 'skip'];

/** One consumer's call: its options, then its answers; messages the other way. */
class Connection {
  private readonly outbound: Outbound<ReadResp>;
  private joined: { readonly group: Group; readonly consumer: Consumer } | undefined;
  private asked = false;

  constructor(
    private readonly call: ReadCall,
    private readonly groups: Groups,
    private readonly access: Access,
    private readonly watch: AccessWatch,
    private readonly appendBytesMax: number,
  ) {
    this.outbound = new Outbound(call);
    this.outbound.signal.addEventListener('abort', () => {
      this.leave();
    });
    call.on('data', (message: ReadReq) => {
      this.take(message).catch((error: unknown) => {
        this.fail(toCallError(error, this.appendBytesMax));
      });
    });
  }

  /** Aborts when the call is over. */
  get ended(): AbortSignal {
    return this.outbound.signal;
  }

  private async take(message: ReadReq): Promise<void> {
    const options = message.getOptions();
    if (options !== undefined) {
      if (this.asked) throw invalidArgument('The options come once, and first.');
      this.asked = true;
      await this.join(options);
      return;
    }
    if (this.joined === undefined) throw invalidArgument('The options come first.');
    const { group } = this.joined;
    const ack = message.getAck();
    if (ack !== undefined) {
      group.ack(ack.getIdsList().map(idOf));
      return;
    }
    const nack = message.getNack();
    if (nack === undefined) throw invalidArgument('A message has options, an ack or a nack.');
    const action = ACTIONS[nack.getAction() as number] ?? 'retry';
    group.nack(nack.getIdsList().map(idOf), action, nack.getReason());
  }

  private async join(options: ReadReq.Options): Promise<void> {
    const caller = this.access.callerOf(this.call.metadata);
    const stream = targetOf(options);
    await this.access.demand(caller, 'read', stream);
    const group = this.groups.find(stream, options.getGroupName());
    if (group.isFull) throw groupFull(group.settings);
    const slots = options.getBufferSize();
    if (slots < 1) throw invalidArgument('A buffer has room for at least 1 message.');
    if (this.outbound.gone) return;
    const structuredIds = options.getUuidOption()?.hasStructured() ?? false;
    const [connectionName] = this.call.metadata.get('connection-name');
    const confirmation = new ReadResp.SubscriptionConfirmation().setSubscriptionId(group.key);
    void this.outbound.send(new ReadResp().setSubscriptionConfirmation(confirmation));
    const name = {
      from: this.call.getPeer(),
      username: caller.name,
      connectionName: String(connectionName ?? '<unknown>'),
    };
    const consumer = group.connect(name, slots, {
      give: (message) => this.give(message, caller, structuredIds),
      drop: () => {
        this.fail(groupDropped(group.settings));
      },
    });
    this.joined = { group, consumer };
    const unwatch = this.watch.watch(caller, stream, () => {
      this.fail(accessDenied());
    });
    this.ended.addEventListener('abort', unwatch);
  }

  /** What a link leads to is shown to a consumer who may read it where it stands. */
  private give(message: Message, caller: Caller, structuredIds: boolean): Promise<void> | undefined {
    const { event, link } = message.resolved;
    if (link === undefined || event === undefined || !this.access.isRestricted) {
      return this.outbound.offer(responseOf(message, structuredIds));
    }
    return this.access.allows(caller, 'read', event.stream).then(
      async (allowed) => {
        const shown = allowed ? message : { ...message, resolved: { event: undefined, link } };
        await this.outbound.offer(responseOf(shown, structuredIds));
      },
      (error: unknown) => {
        this.fail(toCallError(error, this.appendBytesMax));
      },
    );
  }

  private leave(): void {
    if (this.joined === undefined) return;
    const { group, consumer } = this.joined;
    this.joined = undefined;
    group.disconnect(consumer);
  }

  private fail(error: Error): void {
    if (!this.outbound.gone) this.call.emit('error', error);
    this.leave();
  }
}

const idOf = (id: Parameters<typeof uuidText>[0]): string => uuidText(id).toLowerCase();

function responseOf({ resolved, retries }: Message, structuredIds: boolean): ReadResp {
  const { RecordedEvent: Recorded } = ReadResp.ReadEvent;
  const { event, link } = resolved;
  const response = new ReadResp.ReadEvent()
    .setCommitPosition(String(originalOf(resolved).position))
    .setRetryCount(retries);
  if (event !== undefined) response.setEvent(record(new Recorded(), event, structuredIds));
  if (link !== undefined) response.setLink(record(new Recorded(), link, structuredIds));
  return new ReadResp().setEvent(response);
}

/** @param connectionsMax of all groups together; one more is refused with RESOURCE_EXHAUSTED */
export function handleConnection(
  groups: Groups,
  access: Access,
  watch: AccessWatch,
  { appendBytesMax, connectionsMax }: { readonly appendBytesMax: number; readonly connectionsMax: number },
) {
  let open = 0;
  return (call: ReadCall): void => {
    if (open >= connectionsMax) {
      call.emit('error', exhausted(`${connectionsMax} consumers are connected.`));
      return;
    }
    open++;
    new Connection(call, groups, access, watch, appendBytesMax).ended.addEventListener('abort', () => {
      open--;
    });
  };
}
