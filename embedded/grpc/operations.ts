import { randomUUID } from 'node:crypto';
import type { handleUnaryCall, Metadata } from '@grpc/grpc-js';
import type { IOperationsServer } from '@eventstore/db-client/generated/operations_grpc_pb';
import { ScavengeResp } from '@eventstore/db-client/generated/operations_pb';
import { Empty } from '@eventstore/db-client/generated/shared_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import type { Access } from './access';
import { exhausted, notHere, scavengeNotFound, toCallError } from './errors';
import type { Groups } from './persistent/groups';

export interface Node {
  readonly store: EmbeddedEventStore;
  readonly access: Access;
  readonly groups: Groups;
}

type Operations = Pick<
  IOperationsServer,
  | 'startScavenge'
  | 'stopScavenge'
  | 'shutdown'
  | 'mergeIndexes'
  | 'resignNode'
  | 'setNodePriority'
  | 'restartPersistentSubscriptions'
>;

/**
 * One scavenge at a time; of what else operators do to a cluster's node, what makes sense for a single one.
 */
export function operations({ store, access, groups }: Node): Operations {
  let running: { readonly id: string; readonly controller: AbortController } | undefined;

  const start = (): ScavengeResp => {
    if (running !== undefined) throw exhausted(`The scavenge ${running.id} is running.`);
    const scavenge = { id: randomUUID(), controller: new AbortController() };
    running = scavenge;
    const over = (): void => {
      running = undefined;
    };
    store.scavenge(scavenge.controller.signal).then(over, over);
    const { STARTED } = ScavengeResp.ScavengeResult;
    return new ScavengeResp().setScavengeId(scavenge.id).setScavengeResult(STARTED);
  };

  const stop = (id: string): ScavengeResp => {
    if (running?.id !== id) throw scavengeNotFound(id);
    running.controller.abort();
    const { STOPPED } = ScavengeResp.ScavengeResult;
    return new ScavengeResp().setScavengeId(id).setScavengeResult(STOPPED);
  };

  const demand = (metadata: Metadata): void => {
    access.demandOperator(access.callerOf(metadata));
  };

  return {
    startScavenge: answering(demand, start),
    stopScavenge: answering(demand, (request) => stop(request.getOptions()?.getScavengeId() ?? '')),
    // It ends with the program that it is part of, not by whoever reaches its port.
    shutdown: answering(demand, () => {
      throw notHere('This node is shut down by ending its process.');
    }),
    restartPersistentSubscriptions: answering(demand, async () => {
      await groups.restart();
      return new Empty();
    }),
    // Indexes need no merging here, and a single node is the leader whatever its priority is.
    mergeIndexes: answering(demand, () => new Empty()),
    setNodePriority: answering(demand, () => new Empty()),
    resignNode: answering(demand, () => new Empty()),
  };
}

function answering<Request, Response>(
  demand: (metadata: Metadata) => void,
  work: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return ({ metadata, request }, reply) => {
    const answer = async (): Promise<Response> => {
      demand(metadata);
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
}
