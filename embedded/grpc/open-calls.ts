import {
  ServerInterceptingCall,
  status,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from '@grpc/grpc-js';

/**
 * The calls under way. A door that closes ends them with a status that tells clients to look for a server
 * again: a connection that is just cut off reaches some of them as a cancellation of their own.
 */
export class OpenCalls {
  private readonly calls = new Set<ServerInterceptingCallInterface>();

  /** To be the first of the server's. */
  readonly interceptor: ServerInterceptor = (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        this.calls.add(call);
        next({
          onCancel: () => {
            this.calls.delete(call);
          },
        });
      },
      // What has had its status gets no second one.
      sendStatus: (given, next) => {
        if (this.calls.delete(call)) next(given);
      },
    });

  get count(): number {
    return this.calls.size;
  }

  endAll(): void {
    for (const call of this.calls) {
      this.calls.delete(call);
      call.sendStatus({ code: status.UNAVAILABLE, details: 'The event store is shutting down.' });
    }
  }
}
