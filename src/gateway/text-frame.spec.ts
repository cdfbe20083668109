import { sharedTextFrame, textFrame } from './text-frame';

describe('textFrame', () => {
  it.each<[number, number[]]>([
    [0, [0x81, 0]],
    [125, [0x81, 125]],
    [126, [0x81, 126, 0, 126]],
    [65_535, [0x81, 126, 255, 255]],
    [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]],
  ])('writes the header of %i bytes as RFC 6455 section 5.2 says', (length, header) => {
    const text = 'x'.repeat(length);
    const expected = Buffer.concat([Buffer.from(header), Buffer.from(text)]);
    expect(textFrame(text).equals(expected)).toBe(true);
    expect(textFrame(Buffer.from(text)).equals(expected)).toBe(true);
  });

  it('counts bytes, not characters', () => {
    expect(textFrame('é😀')).toEqual(Buffer.concat([Buffer.from([0x81, 6]), Buffer.from('é😀')]));
  });

  it('is made once for all sockets of a fan-out', () => {
    const [one, other] = [Buffer.from('one'), Buffer.from('other')];
    expect(sharedTextFrame(one)).toBe(sharedTextFrame(one));
    expect(sharedTextFrame(other).subarray(2).toString()).toBe('other');
    expect(sharedTextFrame(one).subarray(2).toString()).toBe('one');
  });
});
