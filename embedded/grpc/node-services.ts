import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { GossipService, type IGossipServer } from '@eventstore/db-client/generated/gossip_grpc_pb';
import { ClusterInfo, EndPoint, MemberInfo } from '@eventstore/db-client/generated/gossip_pb';
import { MonitoringService } from '@eventstore/db-client/generated/monitoring_grpc_pb';
import { StatsResp, type StatsReq } from '@eventstore/db-client/generated/monitoring_pb';
import {
  OperationsService,
  type IOperationsServer,
} from '@eventstore/db-client/generated/operations_grpc_pb';
import { ScavengeResp } from '@eventstore/db-client/generated/operations_pb';
import {
  ServerFeaturesService,
  type IServerFeaturesServer,
} from '@eventstore/db-client/generated/serverfeatures_grpc_pb';
import { SupportedMethod, SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb';
import { UUID } from '@eventstore/db-client/generated/shared_pb';
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import { exhausted, scavengeNotFound } from './errors';
import { Outbound } from './outbound';

/** Whose protocol is spoken: clients choose by it what they may ask. */
export const SERVER_VERSION = '24.10.0';
const STATS_PERIOD_MS_MIN = 1_000;
const STATS_PERIOD_MS_MAX = 3_600_000;

/** Where clients reach this node, as gossip tells them. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The services that are about the node rather than about events. */
export function addNodeServices(server: Server, store: EmbeddedEventStore, address: () => Address): void {
  server.addService(ServerFeaturesService, features());
  server.addService(GossipService, gossip(address));
  server.addService(MonitoringService, { stats: statistics(store) });
  server.addService(OperationsService, operations(store));
}

function features(): Pick<IServerFeaturesServer, 'getSupportedMethods'> {
  const methods = Object.values(StreamsService as unknown as Record<string, { readonly path: string }>).map(
    ({ path }) => {
      const [, service = '', method = ''] = path.split('/');
      return new SupportedMethod().setServiceName(service).setMethodName(method.toLowerCase());
    },
  );
  const supported = new SupportedMethods().setMethodsList(methods).setEventStoreServerVersion(SERVER_VERSION);
  return {
    getSupportedMethods: (_call, reply) => {
      reply(null, supported);
    },
  };
}

function gossip(address: () => Address): Pick<IGossipServer, 'read'> {
  const instance = new UUID().setString(randomUUID());
  return {
    read: (_call, reply) => {
      const { host, port } = address();
      const member = new MemberInfo()
        .setInstanceId(instance)
        .setTimeStamp(String(Date.now() * 10_000))
        .setState(MemberInfo.VNodeState.LEADER)
        .setIsAlive(true)
        .setHttpEndPoint(new EndPoint().setAddress(host).setPort(port));
      reply(null, new ClusterInfo().setMembersList([member]));
    },
  };
}

function statistics(store: EmbeddedEventStore) {
  return (call: ServerWritableStream<StatsReq, StatsResp>): void => {
    const outbound = new Outbound<StatsResp>(call);
    const asked = Number(call.request.getRefreshTimePeriodInMs());
    const periodMs = Math.min(Math.max(asked, STATS_PERIOD_MS_MIN), STATS_PERIOD_MS_MAX);
    const report = async (): Promise<void> => {
      while (await outbound.send(currentStatistics(store))) {
        await pause(periodMs, undefined, { signal: outbound.signal, ref: false });
      }
    };
    report().catch(() => {
      if (!outbound.gone) call.end();
    });
  };
}

function currentStatistics(store: EmbeddedEventStore): StatsResp {
  const response = new StatsResp();
  response
    .getStatsMap()
    .set('proc-mem', String(process.memoryUsage.rss()))
    .set('proc-upTime', String(Math.round(process.uptime())))
    .set('es-lastPosition', String(store.head));
  return response;
}

/** Scavenges one at a time; what else operators do to a cluster's node there is none of. */
function operations(store: EmbeddedEventStore): Pick<IOperationsServer, 'startScavenge' | 'stopScavenge'> {
  let running: { readonly id: string; readonly controller: AbortController } | undefined;
  return {
    startScavenge: (_call, reply) => {
      if (running !== undefined) {
        reply(exhausted(`The scavenge ${running.id} is running.`));
        return;
      }
      const scavenge = { id: randomUUID(), controller: new AbortController() };
      running = scavenge;
      const over = (): void => {
        running = undefined;
      };
      store.scavenge(scavenge.controller.signal).then(over, over);
      const { STARTED } = ScavengeResp.ScavengeResult;
      reply(null, new ScavengeResp().setScavengeId(scavenge.id).setScavengeResult(STARTED));
    },
    stopScavenge: (call, reply) => {
      const id = call.request.getOptions()?.getScavengeId() ?? '';
      if (running?.id !== id) {
        reply(scavengeNotFound(id));
        return;
      }
      running.controller.abort();
      const { STOPPED } = ScavengeResp.ScavengeResult;
      reply(null, new ScavengeResp().setScavengeId(id).setScavengeResult(STOPPED));
    },
  };
}
