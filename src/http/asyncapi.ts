import type { TSchema } from '@sinclair/typebox';
import { CLOSE_CODES } from '../protocol/close-codes';
import { EVENT_FRAMES } from '../protocol/events';
import { ALL_SERVER_FRAMES, CLIENT_FRAMES, FRAME_ID_LENGTH_MAX } from '../protocol/frames';

interface Reference {
  readonly $ref: string;
}

interface FrameMessage {
  readonly name: string;
  readonly title: string;
  readonly summary: string;
  readonly payload: object;
}

/** AsyncAPI 3.0, as far as one WebSocket needs it. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly defaultContentType: string;
  readonly channels: {
    readonly socket: {
      readonly address: string;
      readonly description: string;
      readonly messages: Readonly<Record<string, Reference>>;
      readonly bindings: object;
    };
  };
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: 'send' | 'receive';
        readonly channel: Reference;
        readonly messages: readonly Reference[];
        readonly reply?: { readonly channel: Reference; readonly messages: readonly Reference[] };
      }
    >
  >;
  readonly components: { readonly messages: Readonly<Record<string, FrameMessage>> };
}

type ClientFrame = keyof typeof CLIENT_FRAMES;
type ServerFrame = keyof typeof ALL_SERVER_FRAMES;

/** PROTOCOL.md section 3: which answers a frame with an `id` may get, beside `error`. None: it is never answered. */
const ANSWERS: Readonly<Record<ClientFrame, readonly ServerFrame[]>> = {
  auth: ['ready'],
  sync: ['sync.page', 'sync.done'],
  'message.send': ['message.ack'],
  'message.edit': ['ok'],
  'message.delete': ['ok'],
  'reaction.set': ['ok'],
  delivered: ['ok'],
  read: ['ok'],
  typing: [],
  focus: ['ok'],
  unfocus: ['ok'],
  'presence.set': ['ok'],
  'presence.watch': ['ok'],
  'presence.unwatch': ['ok'],
  'call.signal': ['ok'],
  reauth: ['ok'],
  ping: ['pong'],
};

const CHANNEL: Reference = { $ref: '#/channels/socket' };
/** A name may be both sent and received (`typing`, `call.signal`): the direction is part of the key. */
const clientKey = (name: string): string => `client.${name}`;
const serverKey = (name: string): string => `server.${name}`;
const inChannel = (key: string): Reference => ({ $ref: `#/channels/socket/messages/${key}` });

function frame(name: string, data: TSchema, from: 'client' | 'server'): FrameMessage {
  const isEvent = name in EVENT_FRAMES;
  // Only a client's frame must have no other member; a device ignores what it does not know.
  const closed = from === 'client' ? { additionalProperties: false } : {};
  const needsData =
    from === 'server' || Object.keys((data as { required?: object }).required ?? {}).length > 0;
  return {
    name,
    title: name,
    summary: from === 'client' ? 'sent by a device' : isEvent ? 'a stored event' : 'an answer or a hint',
    payload: {
      type: 'object',
      properties: {
        event: { const: name },
        id: { type: 'string', maxLength: FRAME_ID_LENGTH_MAX },
        data: JSON.parse(JSON.stringify(data)) as object,
      },
      required: ['event', ...(needsData ? ['data'] : [])],
      ...closed,
    },
  };
}

function receiveOperations(): AsyncApiDocument['operations'] {
  return Object.fromEntries(
    (Object.keys(CLIENT_FRAMES) as ClientFrame[]).map((name) => {
      const answers = ANSWERS[name];
      const messages =
        answers.length === 0 ? [] : [...answers, 'error'].map((key) => inChannel(serverKey(key)));
      return [
        `receive.${name}`,
        {
          action: 'receive' as const,
          channel: CHANNEL,
          messages: [inChannel(clientKey(name))],
          ...(messages.length === 0 ? {} : { reply: { channel: CHANNEL, messages } }),
        },
      ];
    }),
  );
}

const closeCodes = Object.values(CLOSE_CODES)
  .map(({ code, reconnect, reason }) => `${code} ${reason} (${reconnect ? 'come back' : 'do not come back'})`)
  .join('; ');

/** Everything that travels over `/ws`, made from the same tables that the gateway checks frames with. */
export function asyncApiDocument(): AsyncApiDocument {
  const messages: Record<string, FrameMessage> = {};
  for (const [name, data] of Object.entries(CLIENT_FRAMES))
    messages[clientKey(name)] = frame(name, data, 'client');
  for (const [name, data] of Object.entries(ALL_SERVER_FRAMES)) {
    messages[serverKey(name)] = frame(name, data, 'server');
  }
  const keys = Object.keys(messages);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Parley, live',
      version: '1',
      description: 'One JSON frame a WebSocket text message. REST is described in /api/openapi.json.',
    },
    defaultContentType: 'application/json',
    channels: {
      socket: {
        address: '/ws',
        description: `Close codes: ${closeCodes}.`,
        messages: Object.fromEntries(keys.map((key) => [key, { $ref: `#/components/messages/${key}` }])),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
      },
    },
    operations: {
      ...receiveOperations(),
      push: {
        action: 'send',
        channel: CHANNEL,
        messages: Object.keys(ALL_SERVER_FRAMES).map((name) => inChannel(serverKey(name))),
      },
    },
    components: { messages },
  };
}
