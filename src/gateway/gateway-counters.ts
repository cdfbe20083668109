import { Injectable } from '@nestjs/common';
import type { ErrorCode } from '../protocol/errors';

/** What the gateway has done since the process started; the composition root shows it as metrics. */
@Injectable()
export class GatewayCounters {
  /** Times a socket passed its high-water mark and drained again. */
  slowRecovered = 0;
  /** Sockets closed with 4013. */
  slowClosed = 0;
  /** Bytes of frames written to sockets, without pings and close frames. */
  outboundBytes = 0;
  framesHandled = 0;
  /** Sockets accepted, authenticated or not. */
  opened = 0;
  /** Sockets whose peer fell silent. */
  silent = 0;
  private readonly refusals = new Map<ErrorCode, number>();
  private readonly closes = new Map<number, number>();

  get refusedByCode(): ReadonlyMap<ErrorCode, number> {
    return this.refusals;
  }

  /** By the code the socket was closed with, as `ws` reports it; 1006: no close frame came. */
  get closedByCode(): ReadonlyMap<number, number> {
    return this.closes;
  }

  refused(code: ErrorCode): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  /** Codes a client may choose (RFC 6455: 1000..4999) are counted as one when they are none of ours. */
  closed(code: number): void {
    const known = code >= 1_000 && code <= 1_015 ? code : code >= 4_000 && code <= 4_013 ? code : 4_999;
    this.closes.set(known, (this.closes.get(known) ?? 0) + 1);
  }
}
