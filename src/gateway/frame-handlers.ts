import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
} from '@nestjs/common/constants';
import { MESSAGE_METADATA } from '@nestjs/websockets/constants';
import type { Answer } from './answers';

/** Handles a frame; undefined: it has answered already, or says nothing. What it throws is answered by the router. */
export type FrameHandler = (incoming: object) => Promise<Answer | undefined> | Answer | undefined;

/** Decorators that Nest's own wrapper would apply, and that a direct call passes by. */
const WITHOUT_EFFECT = [
  ['@UseGuards', GUARDS_METADATA],
  ['@UsePipes', PIPES_METADATA],
  ['@UseInterceptors', INTERCEPTORS_METADATA],
  ['@UseFilters', EXCEPTION_FILTERS_METADATA],
] as const;

/**
 * The methods of a gateway by the frames they handle, as `@SubscribeMessage` has noted them, to be called directly
 * (docs/adr/0043): the router has looked at the frame and answers what fails, and nothing is left for Nest's wrapper.
 *
 * @throws Error when the gateway or a method has a decorator that would have no effect
 */
export function frameHandlersOf(gateway: object): ReadonlyMap<string, FrameHandler> {
  const prototype = Object.getPrototypeOf(gateway) as Readonly<Record<string, unknown>>;
  refuseDecorators(gateway.constructor);
  const handlers = new Map<string, FrameHandler>();
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const method = prototype[name];
    if (typeof method !== 'function' || name === 'constructor') continue;
    const frame: unknown = Reflect.getMetadata(MESSAGE_METADATA, method);
    if (typeof frame !== 'string') continue;
    refuseDecorators(method);
    handlers.set(frame, (method as FrameHandler).bind(gateway));
  }
  return handlers;
}

function refuseDecorators(decorated: { readonly name: string }): void {
  const found = WITHOUT_EFFECT.find(([, key]) => Reflect.hasMetadata(key, decorated));
  if (found !== undefined) throw new Error(`${found[0]} of ${decorated.name} would have no effect`);
}
