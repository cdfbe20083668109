import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type Span,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api';

/** Other requests that one append served and that are named in its span. */
export const LINKS_MAX = 32;

/** The lowest bit of a context's flags. */
const SAMPLED = 1;
/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

/**
 * Who records, for the whole process as with OpenTelemetry itself; undefined: nobody, and everything here is one
 * comparison. Set by main alone.
 */
let tracer: Tracer | undefined;

/** Switches recording on; undefined switches it off. */
export function recordWith(newTracer: Tracer | undefined): void {
  tracer = newTracer;
}

/** Whether anybody records: what only a trace wants need not be gathered otherwise. */
export const isTracing = (): boolean => tracer !== undefined;

/** The trace id of a valid `traceparent`. */
export const traceIdOf = (traceparent: string | undefined): string | undefined =>
  contextOf(traceparent)?.traceId;

/** The same trace, which nobody is asked to record. */
export const withoutSampling = (traceparent: string): string => `${traceparent.slice(0, -2)}00`;

export type StepKind = 'server' | 'internal' | 'producer' | 'consumer';
const KINDS: Readonly<Record<StepKind, SpanKind>> = {
  server: SpanKind.SERVER,
  internal: SpanKind.INTERNAL,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/**
 * One recorded step of a message's way. Contexts are handed along as values, in commands and in the metadata of
 * events: an AsyncLocalStorage would make every promise of the process dearer (docs/adr/0026), and could not
 * cross the log anyway.
 */
export class Step {
  constructor(private readonly span: Span) {}

  /** For what comes after it. */
  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  get traceId(): string {
    return this.span.spanContext().traceId;
  }

  /** @param failure a code, never a text: what went wrong may quote what people write */
  end(failure?: string, attributes: Attributes = {}): void {
    this.span.setAttributes(attributes);
    if (failure !== undefined) {
      this.span.setAttribute('error.type', failure);
      if (failure === 'internal' || failure === 'unavailable') {
        this.span.setStatus({ code: SpanStatusCode.ERROR });
      }
    }
    this.span.end();
  }

  rename(name: string): void {
    this.span.updateName(name);
  }
}

/**
 * The first step of this process: under the caller's trace when `traceparent` names one, else of a new trace,
 * which the sampler may leave out. undefined: nobody records it.
 * @param decides whether the caller's word on recording counts; else theirs is only linked to
 */
export function beginRoot(
  name: string,
  traceparent: string | undefined,
  attributes: Attributes,
  decides = true,
): Step | undefined {
  if (tracer === undefined) return undefined;
  const remote = contextOf(traceparent);
  const parent = remote === undefined || !decides ? ROOT_CONTEXT : under(remote);
  const links = remote === undefined || decides ? [] : [{ context: remote }];
  return recorded(tracer.startSpan(name, { kind: SpanKind.SERVER, attributes, links }, parent));
}

/** A step after another; undefined when that one was not recorded, or nobody records. */
export function beginStep(
  name: string,
  kind: StepKind,
  traceparents: string | undefined | readonly string[],
  attributes: Attributes = {},
): Step | undefined {
  if (tracer === undefined || traceparents === undefined) return undefined;
  const given = typeof traceparents === 'string' ? [traceparents] : traceparents;
  const [parent, ...others] = given.flatMap((text) => {
    const context = contextOf(text);
    return context !== undefined && isSampled(context) ? [context] : [];
  });
  if (parent === undefined) return undefined;
  const links = others.slice(0, LINKS_MAX).map((context) => ({ context }));
  return recorded(tracer.startSpan(name, { kind: KINDS[kind], attributes, links }, under(parent)));
}

const under = (parent: SpanContext): Context => trace.setSpanContext(ROOT_CONTEXT, parent);
const recorded = (span: Span): Step | undefined => (span.isRecording() ? new Step(span) : undefined);
const isSampled = ({ traceFlags }: SpanContext): boolean => traceFlags % 2 === SAMPLED;

function contextOf(traceparent: string | undefined): SpanContext | undefined {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}
