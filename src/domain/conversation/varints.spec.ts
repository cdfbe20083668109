import fc from 'fast-check';
import { replayable } from '../../../test/support/replayable';
import { ByteReader, pushSigned, pushVarint } from './varints';

describe('varints', () => {
  it('come back as they went in, up to the largest whole number, on both sides of zero', () => {
    fc.assert(
      fc.property(
        fc.array(fc.maxSafeNat()),
        fc.array(fc.integer({ min: -(2 ** 50), max: 2 ** 50 })),
        (a, b) => {
          const bytes: number[] = [];
          for (const value of a) pushVarint(bytes, value);
          for (const value of b) pushSigned(bytes, value);
          const reader = new ByteReader(Buffer.from(bytes));
          expect(a.map(() => reader.varint())).toEqual(a);
          expect(b.map(() => reader.signed())).toEqual(b);
          expect(reader.isAtEnd).toBe(true);
        },
      ),
      replayable(300),
    );
  });

  it('take one byte below 128, two below 16,384', () => {
    const sizes = [0, 127, 128, 16_383, 16_384].map((value) => {
      const bytes: number[] = [];
      pushVarint(bytes, value);
      return bytes.length;
    });
    expect(sizes).toEqual([1, 1, 2, 2, 3]);
  });

  it('end with an error where the bytes do', () => {
    expect(() => new ByteReader(Buffer.from([0x80])).varint()).toThrow('in the middle');
    expect(() => new ByteReader(Buffer.from([1, 2])).fixed(3)).toThrow('in the middle');
  });
});
