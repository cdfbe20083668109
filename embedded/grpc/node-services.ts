import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import { GossipService, type IGossipServer } from '@eventstore/db-client/generated/gossip_grpc_pb';
import { ClusterInfo, EndPoint, MemberInfo } from '@eventstore/db-client/generated/gossip_pb';
import { MonitoringService } from '@eventstore/db-client/generated/monitoring_grpc_pb';
import { StatsResp, type StatsReq } from '@eventstore/db-client/generated/monitoring_pb';
import { OperationsService } from '@eventstore/db-client/generated/operations_grpc_pb';
import { PersistentSubscriptionsService } from '@eventstore/db-client/generated/persistent_grpc_pb';
import { ProjectionsService } from '@eventstore/db-client/generated/projections_grpc_pb';
import {
  ServerFeaturesService,
  type IServerFeaturesServer,
} from '@eventstore/db-client/generated/serverfeatures_grpc_pb';
import { SupportedMethod, SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb';
import { UUID } from '@eventstore/db-client/generated/shared_pb';
import { StreamsService } from '@eventstore/db-client/generated/streams_grpc_pb';
import type { EmbeddedEventStore } from '../engine/event-store';
import { operations, type Node } from './operations';
import { Outbound } from './outbound';
import { strictly } from './strict-messages';

/** Whose protocol is spoken: clients choose by it what they may ask. */
export const SERVER_VERSION = '24.10.0';
/** Of this process; clients tell nodes by it. */
export const INSTANCE_ID: string = randomUUID();
const STATS_PERIOD_MS_MIN = 1_000;
const STATS_PERIOD_MS_MAX = 3_600_000;

/** Of these, each has its methods with their paths. */
const SERVICES = [
  StreamsService,
  PersistentSubscriptionsService,
  OperationsService,
  ProjectionsService,
  MonitoringService,
  GossipService,
  ServerFeaturesService,
] as unknown as readonly Readonly<Record<string, { readonly path: string }>>[];

const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Where clients reach this node, as gossip tells them. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The services that are about the node rather than about events. */
export function addNodeServices(server: Server, node: Node, address: () => Address): void {
  const { store } = node;
  server.addService(strictly(ServerFeaturesService), features());
  server.addService(strictly(GossipService), gossip(address));
  server.addService(strictly(MonitoringService), { stats: statistics(store) });
  server.addService(strictly(OperationsService), operations(node));
}

/**
 * All methods there are, in the letters of the real server's answer: clients look for what they may ask here.
 */
function features(): Pick<IServerFeaturesServer, 'getSupportedMethods'> {
  const methods = SERVICES.flatMap((service) => Object.values(service)).map(({ path }) => {
    const [, service = '', method = ''] = path.toLowerCase().split('/');
    const named = new SupportedMethod().setServiceName(service).setMethodName(method);
    return named.setFeaturesList(featuresOf(service, method));
  });
  const supported = new SupportedMethods().setMethodsList(methods).setEventStoreServerVersion(SERVER_VERSION);
  return {
    getSupportedMethods: (_call, reply) => {
      reply(null, supported);
    },
  };
}

function featuresOf(service: string, method: string): string[] {
  if (service.endsWith('.persistentsubscriptions')) return ['stream', 'all'];
  if (service.endsWith('.projections')) return method === 'create' ? ['track_emitted_streams'] : [];
  return service.endsWith('.streams') && method === 'read' ? ['position', 'events'] : [];
}

function gossip(address: () => Address): Pick<IGossipServer, 'read'> {
  const instance = new UUID().setString(INSTANCE_ID);
  return {
    read: (call, reply) => {
      const { host: bound, port } = address();
      // Who listens everywhere is found where the client found it.
      const host = EVERYWHERE.has(bound) ? call.getHost().replace(/:\d+$/, '') : bound;
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
