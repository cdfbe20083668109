import type { ServerResponse } from 'node:http';
import { Controller, Get, Header, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse } from '@nestjs/swagger';
import { HealthChecks, type Readiness as ReadinessReport } from '../observability/health';
import { Metrics } from '../observability/metrics';
import { Liveness, Readiness } from '../protocol/rest';
import { asyncApiDocument, type AsyncApiDocument } from './asyncapi';
import { Describe } from './describe';

const NOT_READY_STATUS = 503;

/** What machines ask about this node: probes, metrics, and the contract of the sockets. */
@Controller()
export class HealthController {
  constructor(
    private readonly health: HealthChecks,
    private readonly metrics: Metrics,
  ) {}

  @Get('health/live')
  @Describe({ summary: 'Does the process answer?', answers: { 200: Liveness }, open: true })
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  @Get('health/ready')
  @Describe({
    summary: 'Can this node serve? 503 while it drains or misses a store',
    answers: { 200: Readiness, 503: Readiness },
    open: true,
  })
  async ready(@Res({ passthrough: true }) response: ServerResponse): Promise<ReadinessReport> {
    const readiness = await this.health.readiness();
    if (readiness.status !== 'ready') response.statusCode = NOT_READY_STATUS;
    return readiness;
  }

  @Get('metrics')
  @ApiOperation({ summary: 'Metrics in the text format of Prometheus' })
  @ApiProduces('text/plain')
  @ApiResponse({
    status: 200,
    description: 'Metrics',
    content: { 'text/plain': { schema: { type: 'string' } } },
  })
  async exposeMetrics(@Res({ passthrough: true }) response: ServerResponse): Promise<string> {
    const { contentType, text } = await this.metrics.expose();
    response.setHeader('Content-Type', contentType);
    return text;
  }

  @Get('api/asyncapi.json')
  @Header('Cache-Control', 'no-cache')
  @ApiOperation({ summary: 'The AsyncAPI 3.0 document of the WebSocket' })
  @ApiResponse({
    status: 200,
    description: 'AsyncAPI',
    content: { 'application/json': { schema: { type: 'object', required: ['asyncapi', 'channels'] } } },
  })
  asyncApi(): AsyncApiDocument {
    return asyncApiDocument();
  }
}
