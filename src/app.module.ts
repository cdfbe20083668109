import { Module, type DynamicModule } from '@nestjs/common';
import { ApplicationModule } from './application/application.module';
import type { Config } from './config/config';
import { DeliveryModule } from './delivery/delivery.module';
import { ExpiryModule } from './expiry/expiry.module';
import { GatewayModule } from './gateway/gateway.module';
import { HttpModule } from './http/http.module';
import { IdentityModule } from './identity/identity.module';
import { ObservabilityModule } from './observability/observability.module';
import type { Metrics } from './observability/metrics';
import type { Stores } from './stores';
import { StoresModule } from './stores.module';

/** A node that devices connect to: every feature, over stores that are already open. */
@Module({})
export class AppModule {
  static of(config: Config, stores: Stores, metrics: Metrics): DynamicModule {
    return {
      module: AppModule,
      imports: [
        StoresModule.of(config, stores),
        ObservabilityModule.of(metrics),
        IdentityModule,
        ApplicationModule,
        DeliveryModule,
        GatewayModule,
        HttpModule,
        ExpiryModule,
      ],
    };
  }
}
