import { Logger, PinoLogger } from 'nestjs-pino';
import type { Config } from './config/config';
import { loggingParams } from './observability/logging';

/** What Nest tells at every start, a hundred lines of it: of use only to somebody who looks for a fault. */
const START_CHATTER: ReadonlySet<unknown> = new Set([
  'InstanceLoader',
  'NestFactory',
  'RouterExplorer',
  'RoutesResolver',
  'WebSocketsController',
]);

/** Nest's own lines, in the form of all others, from the first one on; the chatter of the start only at `debug`. */
export class NodeLogger extends Logger {
  constructor(config: Config) {
    super(new PinoLogger(loggingParams(config)), {});
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (START_CHATTER.has(rest.at(-1))) this.debug(message, ...rest);
    else super.log(message, ...(rest as [unknown?]));
  }
}
