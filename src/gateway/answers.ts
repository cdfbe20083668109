import type { RequestContext } from '../application/commands/commands';
import type { FieldError, Problem } from '../protocol/errors';
import { problem } from '../protocol/errors';
import type {
  ClientFrameData,
  ClientFrameName,
  ServerFrame,
  ServerFrameData,
  ServerFrameName,
} from '../protocol/frames';
import type { Caller, Session } from './session';

/** A validated frame of an authenticated socket, on its way to its handler. */
export interface Incoming<Name extends ClientFrameName> {
  readonly session: Session;
  /** Whoever the socket authenticated as; nothing in a frame can say otherwise. */
  readonly caller: Caller;
  /** Of the frame, for the commands it becomes; undefined: nobody traces it. */
  readonly context: RequestContext | undefined;
  readonly id: string | undefined;
  readonly data: ClientFrameData<Name>;
}

/** A frame before anybody is authenticated: `auth` alone. */
export interface FirstFrame {
  readonly session: Session;
  readonly id: string | undefined;
  readonly data: ClientFrameData<'auth'>;
}

/** The one answer to a frame, before it gets the frame's id. */
export type Answer = {
  [Name in ServerFrameName]: { readonly event: Name; readonly data: ServerFrameData<Name> };
}[ServerFrameName];

export const ok = (data: ServerFrameData<'ok'> = {}): Answer => ({ event: 'ok', data });

export const refusal = ({ errors, ...refused }: Problem): Answer => ({
  event: 'error',
  data: { ...refused, ...(errors === undefined ? {} : { errors: [...errors] }) },
});

export const invalidInput = (errors: readonly FieldError[]): Answer =>
  refusal(problem('invalid_input', errors[0]?.message ?? 'invalid input', { errors }));

/** The answer with the id of the frame it answers. */
export const withId = (answer: Answer, id: string | undefined): ServerFrame =>
  id === undefined ? answer : ({ event: answer.event, id, data: answer.data } as ServerFrame);
