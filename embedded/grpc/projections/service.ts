import type { handleUnaryCall, Metadata, ServerWritableStream } from '@grpc/grpc-js';
import { Value } from 'google-protobuf/google/protobuf/struct_pb';
import { Empty } from '@eventstore/db-client/generated/shared_pb';
import type { IProjectionsServer } from '@eventstore/db-client/generated/projections_grpc_pb';
import {
  CreateResp,
  DeleteResp,
  DisableResp,
  EnableResp,
  ResetResp,
  ResultResp,
  StateResp,
  StatisticsResp,
  UpdateResp,
  type StatisticsReq,
} from '@eventstore/db-client/generated/projections_pb';
import type { Access, Caller } from '../access';
import { invalidArgument, notHere, toCallError } from '../errors';
import type { Projection } from './projection';
import type { Projections } from './projections';

type Service = Pick<
  IProjectionsServer,
  | 'create'
  | 'update'
  | 'delete'
  | 'statistics'
  | 'disable'
  | 'enable'
  | 'reset'
  | 'state'
  | 'result'
  | 'restartSubsystem'
>;

/** Projections over gRPC. A query reads and writes every stream, so only administrators may make or change one. */
export function projectionService(projections: Projections, access: Access): Service {
  const answering = answeringTo(access);
  const admin = (caller: Caller): void => {
    access.demandAdministrator(caller);
  };
  const operator = (caller: Caller): void => {
    access.demandOperator(caller);
  };
  const stateOf = async (name: string, partition: string): Promise<Value> => {
    const state = await projections.find(name).stateOf(partition);
    return Value.fromJavaScript(state === undefined ? null : (JSON.parse(state) as null));
  };
  return {
    create: answering(admin, async (request) => {
      const options = wanted(request.getOptions());
      const continuous = options.getContinuous();
      if (continuous === undefined) throw notHere('Only continuous projections are run here.');
      await projections.create(continuous.getName(), options.getQuery(), continuous.getEmitEnabled());
      return new CreateResp();
    }),
    update: answering(admin, async (request) => {
      const options = wanted(request.getOptions());
      const emit = options.hasEmitEnabled() ? options.getEmitEnabled() : undefined;
      await projections.update(options.getName(), options.getQuery(), emit);
      return new UpdateResp();
    }),
    delete: answering(admin, async (request) => {
      const options = wanted(request.getOptions());
      await projections.delete(options.getName(), options.getDeleteCheckpointStream());
      return new DeleteResp();
    }),
    enable: answering(operator, async (request) => {
      await projections.enable(wanted(request.getOptions()).getName());
      return new EnableResp();
    }),
    disable: answering(operator, async (request) => {
      await projections.disable(wanted(request.getOptions()).getName());
      return new DisableResp();
    }),
    reset: answering(operator, async (request) => {
      await projections.reset(wanted(request.getOptions()).getName());
      return new ResetResp();
    }),
    state: answering(operator, async (request) => {
      const options = wanted(request.getOptions());
      return new StateResp().setState(await stateOf(options.getName(), options.getPartition()));
    }),
    result: answering(operator, async (request) => {
      const options = wanted(request.getOptions());
      const result = await stateOf(options.getName(), options.getPartition());
      return new ResultResp().setResult(result);
    }),
    restartSubsystem: answering(operator, async () => {
      await projections.restart();
      return new Empty();
    }),
    statistics: (call) => {
      statistics(call, projections, (metadata) => {
        operator(access.callerOf(metadata));
      });
    },
  };
}

/** Calls with one answer, for those whom it concerns. */
const answeringTo =
  (access: Access) =>
  <Request, Response>(
    demand: (caller: Caller) => void,
    work: (request: Request) => Promise<Response>,
  ): handleUnaryCall<Request, Response> =>
  ({ metadata, request }, reply) => {
    const answer = async (): Promise<Response> => {
      demand(access.callerOf(metadata));
      return work(request);
    };
    answer().then(
      (response) => {
        reply(null, response);
      },
      (error: unknown) => {
        reply(toCallError(error));
      },
    );
  };

function wanted<Options>(options: Options | undefined): Options {
  if (options === undefined) throw invalidArgument('The options are missing.');
  return options;
}

function statistics(
  call: ServerWritableStream<StatisticsReq, StatisticsResp>,
  projections: Projections,
  demand: (metadata: Metadata) => void,
): void {
  try {
    demand(call.metadata);
    const options = wanted(call.request.getOptions());
    const one = options.hasName() ? [projections.find(options.getName())] : undefined;
    const none = options.hasTransient() || options.hasOneTime();
    for (const projection of one ?? (none ? [] : projections.list())) {
      call.write(new StatisticsResp().setDetails(detailsOf(projection)));
    }
    call.end();
  } catch (error) {
    call.emit('error', toCallError(error));
  }
}

function detailsOf(projection: Projection): StatisticsResp.Details {
  const { name, version, epoch } = projection.definition;
  const { at, checkpoint, handled, reason } = projection.figures;
  return new StatisticsResp.Details()
    .setName(name)
    .setEffectivename(name)
    .setMode('Continuous')
    .setStatus(projection.status)
    .setStatereason(reason)
    .setVersion(String(version))
    .setEpoch(String(epoch))
    .setPosition(`C:${at}/P:${at}`)
    .setLastcheckpoint(`C:${checkpoint}/P:${checkpoint}`)
    .setEventsprocessedafterrestart(String(handled))
    .setCoreprocessingtime('0')
    .setBufferedevents('0')
    .setProgress(100);
}
