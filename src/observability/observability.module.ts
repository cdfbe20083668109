import { Global, Module, type OnModuleInit } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { CONFIG } from '../config/config';
import { HealthChecks } from './health';
import { loggingParams } from './logging';
import { Metrics } from './metrics';

/** Logs, metrics and health; CONFIG comes from the composition root. */
@Global()
@Module({
  imports: [LoggerModule.forRootAsync({ inject: [CONFIG], useFactory: loggingParams })],
  providers: [Metrics, HealthChecks],
  exports: [Metrics, HealthChecks],
})
export class ObservabilityModule implements OnModuleInit {
  constructor(private readonly metrics: Metrics) {}

  onModuleInit(): void {
    this.metrics.collectProcess();
  }
}
