import { Catch, type ExceptionFilter } from '@nestjs/common';

/**
 * Nest's own filter for gateways tells a plain WebSocket nothing at all: its device would wait for ever. Passing
 * the exception on lets the router answer it, under the frame's id.
 */
@Catch()
export class RethrowFilter implements ExceptionFilter {
  catch(exception: unknown): never {
    throw exception;
  }
}
