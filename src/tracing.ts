import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { recordWith } from './application/ports/tracing';

/** A collector that does not answer must not hold up a drain for longer. */
const SHUTDOWN_TIMEOUT_MS = 3_000;
/** Of the requests that bring no decision of their own. */
export const TRACES_RATIO = 0.01;

export interface Tracing {
  /** Sends what is recorded, records no more. */
  stop(): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Begins to record. The collector, its headers and the bounds of what waits for it are the standard variables
 * (`OTEL_EXPORTER_OTLP_…`, `OTEL_BSP_…`), which the SDK reads itself; without OTEL_TRACES_SAMPLER one request in a
 * hundred is recorded, and all that a caller's `traceparent` says shall be.
 */
export function startTracing(
  environment: Environment,
  processor: SpanProcessor = new BatchSpanProcessor(new OTLPTraceExporter()),
): Tracing {
  const sampler = new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(TRACES_RATIO) });
  const provider = new BasicTracerProvider({
    resource: defaultResource().merge(
      resourceFromAttributes({ 'service.name': environment['OTEL_SERVICE_NAME'] ?? 'parley' }),
    ),
    spanProcessors: [processor],
    ...(environment['OTEL_TRACES_SAMPLER'] === undefined ? { sampler } : {}),
  });
  recordWith(provider.getTracer('parley'));
  return {
    async stop() {
      recordWith(undefined);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, SHUTDOWN_TIMEOUT_MS);
      });
      // Traces are hints: what a collector did not take is not worth an error at the end.
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}
