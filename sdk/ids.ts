const COUNTER_MAX = 0xfff;

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/**
 * Makes UUIDv7s (RFC 9562, method 1 of section 6.2): 48 bits of milliseconds, a 12-bit counter, 62 random bits.
 * They rise strictly, also within one millisecond and when the clock is set back, because the server's dedupe
 * window decides cheapest about keys whose births rise (PROTOCOL.md section 1).
 */
export class MessageIds {
  private lastMs = 0;
  private counter = 0;
  private offsetMs = 0;

  /** @param now milliseconds of the device's wall clock, which its user may set */
  constructor(private readonly now: () => number = Date.now) {}

  /** A device clock that runs ahead would give births in the server's future, each of which costs a look-up. */
  alignWith(serverTimeMs: number): void {
    this.offsetMs = Math.min(0, serverTimeMs - this.now());
  }

  next(): string {
    const now = this.now() + this.offsetMs;
    if (now > this.lastMs) {
      this.lastMs = now;
      this.counter = 0;
    } else if (this.counter < COUNTER_MAX) {
      this.counter += 1;
    } else {
      this.lastMs += 1;
      this.counter = 0;
    }
    const random = crypto.getRandomValues(new Uint8Array(8));
    const time = hex(this.lastMs, 12);
    const tail = Array.from(random, (byte, index) => hex(index === 0 ? (byte & 0x3f) | 0x80 : byte, 2)).join(
      '',
    );
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(this.counter, 3)}-${tail.slice(0, 4)}-${tail.slice(4)}`;
  }
}
