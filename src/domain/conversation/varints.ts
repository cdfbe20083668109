/**
 * Whole numbers in as few bytes as they need: seven bits a byte, lowest first (varints). By division instead of
 * shifts, because seqs and times have more than 32 bits.
 */
export function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
}

/** For numbers that may be below zero: 0, -1, 1, -2 … become 0, 1, 2, 3 … */
export function pushSigned(bytes: number[], value: number): void {
  pushVarint(bytes, value < 0 ? -2 * value - 1 : 2 * value);
}

/** Reads what the functions above have written. @throws Error at the end of the bytes, in the middle of a number */
export class ByteReader {
  private at = 0;

  constructor(private readonly bytes: Buffer) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error('the bytes end in the middle of a number');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** `count` bytes as one number, highest first; at most six. */
  fixed(count: number): number {
    this.at += count;
    if (this.at > this.bytes.length) throw new Error('the bytes end in the middle of a number');
    return this.bytes.readUIntBE(this.at - count, count);
  }
}
