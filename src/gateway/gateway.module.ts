import { Module } from '@nestjs/common';
import { PresenceModule } from '../presence/presence.module';
import { Authentication } from './authentication';
import { FrameRates } from './frame-rates';
import { FrameRouter } from './frame-router';
import { GatewayCounters } from './gateway-counters';
import { GATEWAY_LIMITS, GATEWAY_LIMITS_DEFAULT } from './gateway-limits';
import { GATEWAYS } from './gateways';
import { Sockets } from './sockets';

/**
 * The sockets of this node. The composition root sets {@link ParleyWsAdapter} as the application's WebSocket
 * adapter before it initialises it.
 */
@Module({
  imports: [PresenceModule],
  providers: [
    { provide: GATEWAY_LIMITS, useValue: GATEWAY_LIMITS_DEFAULT },
    GatewayCounters,
    FrameRates,
    FrameRouter,
    Authentication,
    Sockets,
    ...GATEWAYS,
  ],
  exports: [Sockets, GatewayCounters],
})
export class GatewayModule {}
