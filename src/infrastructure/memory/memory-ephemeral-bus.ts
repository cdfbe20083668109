import { Injectable, Logger } from '@nestjs/common';
import { EphemeralBus, type EphemeralFrame } from '../../application/ports/presence';

/** The bus of a node that is alone: what is published is heard here, at once and in order. */
@Injectable()
export class MemoryEphemeralBus extends EphemeralBus {
  private readonly logger = new Logger(MemoryEphemeralBus.name);
  private readonly listeners = new Set<(frame: EphemeralFrame) => void>();

  override publish(frame: EphemeralFrame): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(frame);
      } catch (error) {
        // A hint that one listener cannot take must not fail the frame that caused it.
        this.logger.error({ err: error }, 'a listener of the ephemeral bus failed');
      }
    }
  }

  override subscribe(listener: (frame: EphemeralFrame) => void): () => void {
    // Wrapped, so that the same function may listen twice and each end is its own.
    const own = (frame: EphemeralFrame): void => {
      listener(frame);
    };
    this.listeners.add(own);
    return () => {
      this.listeners.delete(own);
    };
  }
}
