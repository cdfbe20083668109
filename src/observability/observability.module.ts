import {
  Global,
  Inject,
  Module,
  RequestMethod,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { pinoHttp } from 'pino-http';
import { CONFIG, type Config } from '../config/config';
import { HealthChecks } from './health';
import { loggingParams } from './logging';
import { Metrics } from './metrics';

/** Logs, metrics and health; CONFIG comes from the composition root. */
@Global()
@Module({})
export class ObservabilityModule implements NestModule {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** @param metrics those of the process, which its stores report to as well */
  static of(metrics: Metrics): DynamicModule {
    return {
      module: ObservabilityModule,
      imports: [LoggerModule.forRootAsync({ inject: [CONFIG], useFactory: loggingParams })],
      providers: [{ provide: Metrics, useValue: metrics }, HealthChecks],
      exports: [Metrics, HealthChecks],
    };
  }

  /**
   * One line a request, by pino-http alone. nestjs-pino would also run each request in an AsyncLocalStorage, and on
   * Node 20 the first one that does switches hooks on for every promise the process makes from then on
   * (docs/adr/0026).
   */
  configure(consumer: MiddlewareConsumer): void {
    const { pinoHttp: options } = loggingParams(this.config);
    consumer.apply(pinoHttp(options)).forRoutes({ path: '*', method: RequestMethod.ALL });
  }
}
