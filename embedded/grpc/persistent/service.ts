import type { handleUnaryCall, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import type { IPersistentSubscriptionsServer } from '@eventstore/db-client/generated/persistent_grpc_pb';
import {
  CreateResp,
  DeleteResp,
  GetInfoResp,
  ListResp,
  ReplayParkedResp,
  UpdateResp,
  type ListReq,
  type ReplayParkedReq,
} from '@eventstore/db-client/generated/persistent_pb';
import { Empty } from '@eventstore/db-client/generated/shared_pb';
import type { EmbeddedEventStore } from '../../engine/event-store';
import type { Access } from '../access';
import type { AccessWatch } from '../access-watch';
import { groupDoesNotExist, groupFailed, invalidArgument, toCallError } from '../errors';
import { numberOf, streamNameOf } from '../wire';
import { handleConnection } from './connection';
import type { Groups } from './groups';
import { GroupInformation } from './info';
import { settingsOf, targetOf } from './requests';
import { ALL } from './settings';

type Service = Pick<
  IPersistentSubscriptionsServer,
  'read' | 'create' | 'update' | 'delete' | 'getInfo' | 'list' | 'replayParked' | 'restartSubsystem'
>;

/** Groups of consumers: to make and change them, to look at them, and to be one of them. */
export function persistentSubscriptions(
  store: EmbeddedEventStore,
  groups: Groups,
  access: Access,
  watch: AccessWatch,
  limits: { readonly appendBytesMax: number; readonly connectionsMax: number },
): Service {
  const { appendBytesMax } = limits;
  const information = new GroupInformation(store);

  /** For operators: to consume, it is enough to be allowed to read. */
  function operator<Request, Response>(
    work: (request: Request) => Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    const answer = async ({ metadata, request }: ServerUnaryCall<Request, Response>): Promise<Response> => {
      access.demandOperator(access.callerOf(metadata));
      return work(request);
    };
    return (call, reply: sendUnaryData<Response>) => {
      answer(call).then(
        (response) => {
          reply(null, response);
        },
        (error: unknown) => {
          reply(toCallError(error, appendBytesMax));
        },
      );
    };
  }

  return {
    read: handleConnection(groups, access, watch, limits),
    create: operator(async (request) => {
      await groups.create(settingsOf(request));
      return new CreateResp();
    }),
    update: operator(async (request) => {
      await groups.update(settingsOf(request));
      return new UpdateResp();
    }),
    delete: operator(async (request) => {
      const options = required(request.getOptions());
      await groups.delete(targetOf(options), options.getGroupName());
      return new DeleteResp();
    }),
    getInfo: operator(async (request) => {
      const options = required(request.getOptions());
      const group = groups.find(targetOf(options), options.getGroupName());
      return new GetInfoResp().setSubscriptionInfo(await information.of(group));
    }),
    list: operator(async (request) => {
      const stream = listedStream(request);
      const listed = groups
        .list()
        .filter(({ settings }) => stream === undefined || settings.stream === stream);
      if (stream !== undefined && listed.length === 0) throw groupDoesNotExist({ stream, group: '' });
      const infos = await Promise.all(listed.map((group) => information.of(group)));
      return new ListResp().setSubscriptionsList(infos);
    }),
    replayParked: operator((request) => {
      const options = required(request.getOptions());
      const group = groups.find(targetOf(options), options.getGroupName());
      group.replayParked(stopOf(options, group.settings));
      return Promise.resolve(new ReplayParkedResp());
    }),
    restartSubsystem: operator(async () => {
      await groups.restart();
      return new Empty();
    }),
  };
}

function required<Options>(options: Options | undefined): Options {
  if (options === undefined) throw invalidArgument('The options are missing.');
  return options;
}

/** @returns undefined: the groups of all streams */
function listedStream(request: ListReq): string | undefined {
  const options = required(request.getOptions());
  const one = options.getListForStream();
  if (one === undefined) return undefined;
  return one.hasAll() ? ALL : streamNameOf(one.getStream());
}

function stopOf(
  options: ReplayParkedReq.Options,
  name: { readonly stream: string; readonly group: string },
): number {
  if (!options.hasStopAt()) return Infinity;
  const text = options.getStopAt();
  if (text.startsWith('-')) {
    throw groupFailed(name, 'Cannot stop replaying parked message at a negative version.');
  }
  return numberOf(text, 'revision');
}
