import type { Limits } from '../protocol/limits';
import type { FieldError } from '../protocol/errors';
import { contentProblems } from '../protocol/content-rules';
import { CLIENT_FRAMES, type ClientFrameData, type ClientFrameName } from '../protocol/frames';
import { compile, type Validator } from '../protocol/validation';
import type { TSchema } from '@sinclair/typebox';
import { SIGNAL_DEPTH_MAX } from './gateway-limits';

type Rule<Name extends ClientFrameName> = (data: ClientFrameData<Name>, limits: Limits) => FieldError[];

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const FIELD_LENGTH_MAX = 128;
/** A name that some reader of stored JSON might take for more than a name. */
const TREACHEROUS_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

const isText = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();
const textErrors = (field: string, text: string | undefined): FieldError[] =>
  text === undefined || isText(text)
    ? []
    : [{ field, message: 'must not contain U+0000 or lone surrogates' }];

function contentErrors(content: ClientFrameData<'message.send'>['content'], limits: Limits): FieldError[] {
  for (const key of Object.keys(content)) {
    if (TREACHEROUS_KEYS.has(key)) return [{ field: `content.${key}`, message: 'this name is not allowed' }];
  }
  return contentProblems(content, limits.bodyBytesMax);
}

function cursorErrors(cursors: Readonly<Record<string, number>>, max: number): FieldError[] {
  const ids = Object.keys(cursors);
  if (ids.length > max) return [{ field: 'cursors', message: `must have at most ${max} members` }];
  const wrong = ids.find((id) => !UUID.test(id));
  return wrong === undefined
    ? []
    : [{ field: `cursors.${wrong.slice(0, FIELD_LENGTH_MAX)}`, message: 'is not a conversation id' }];
}

const userIdsErrors = (
  { userIds }: { readonly userIds: readonly string[] },
  { presenceWatchMax }: Limits,
): FieldError[] =>
  userIds.length <= presenceWatchMax
    ? []
    : [{ field: 'userIds', message: `must have at most ${presenceWatchMax} members` }];

/** True when `value` nests deeper than `levels`; walks without recursion. */
function isDeeper(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth <= levels; depth++) {
    const objects = level.filter((one): one is object => typeof one === 'object' && one !== null);
    if (objects.length === 0) return false;
    level = objects.flatMap((one) => Object.values(one) as unknown[]);
  }
  return level.some((one) => typeof one === 'object' && one !== null);
}

/** What the schemas cannot say, by frame. */
const RULES: { readonly [Name in ClientFrameName]?: Rule<Name> } = {
  sync: ({ cursors }, limits) => (cursors === undefined ? [] : cursorErrors(cursors, limits.syncCursorsMax)),
  'message.send': ({ conversationId, to, content }, limits) => {
    if ((conversationId === undefined) === (to === undefined)) {
      const message = 'exactly one of conversationId and to must be given';
      return [
        { field: 'conversationId', message },
        { field: 'to', message },
      ];
    }
    return contentErrors(content, limits);
  },
  'message.edit': ({ content }, limits) => contentErrors(content, limits),
  'reaction.set': ({ emoji }) => textErrors('emoji', emoji),
  delivered: ({ cursors }, limits) => cursorErrors(cursors, limits.syncCursorsMax),
  auth: ({ deviceName, platform }) => [
    ...textErrors('deviceName', deviceName),
    ...textErrors('platform', platform),
  ],
  'presence.set': ({ customStatus }) => textErrors('customStatus', customStatus),
  'presence.watch': userIdsErrors,
  'presence.unwatch': userIdsErrors,
  'call.signal': ({ callId, signal }) =>
    isDeeper(signal, SIGNAL_DEPTH_MAX)
      ? [{ field: 'signal', message: `must not nest deeper than ${SIGNAL_DEPTH_MAX} levels` }]
      : textErrors('callId', callId),
};

/** Compiled when the process starts; a frame then costs a straight line of comparisons. */
const VALIDATORS: ReadonlyMap<string, Validator<TSchema>> = new Map(
  Object.entries(CLIENT_FRAMES).map(([name, schema]) => [name, compile<TSchema>(schema)]),
);

export const isClientFrameName = (event: string): event is ClientFrameName => VALIDATORS.has(event);

/** What is wrong with a frame's data, by field; empty when nothing is. */
export function frameErrors(event: ClientFrameName, data: object, limits: Limits): readonly FieldError[] {
  const validator = VALIDATORS.get(event);
  if (validator?.check(data) !== true) {
    return validator?.errors(data) ?? [{ field: 'event', message: 'unknown event' }];
  }
  const rule = RULES[event] as ((data: object, limits: Limits) => FieldError[]) | undefined;
  return rule === undefined ? [] : rule(data, limits);
}
