import fc from 'fast-check';
import { checkRecord, encodeRecord, payloadBytes, RecordedEvent, sealRecord } from './record';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const text = (maxLength: number) => fc.string({ unit: 'grapheme', maxLength });
const bytes = fc.uint8Array({ maxLength: 300 });
const event = fc.record({
  id: fc.uuid(),
  type: text(40),
  isJson: fc.boolean(),
  data: fc.oneof(bytes, text(200)),
  metadata: fc.oneof(bytes, text(200)),
});

describe(`a record (SEED=${SEED})`, () => {
  it('gives back every event', () => {
    fc.assert(
      fc.property(text(40), event, fc.nat(2 ** 31), fc.nat(), (stream, given, revision, created) => {
        const record = encodeRecord(stream, given);
        sealRecord(record, revision * 2 ** 20, created);
        checkRecord(record, 0);
        const read = new RecordedEvent(5, record);
        expect(read).toMatchObject({ position: 5, stream, type: given.type, created, isJson: given.isJson });
        expect(read.revision).toBe(revision * 2 ** 20);
        expect(read.id).toBe(given.id.toLowerCase());
        expect(read.data.equals(Buffer.from(given.data))).toBe(true);
        expect(read.metadata.equals(Buffer.from(given.metadata))).toBe(true);
        expect(read.data.length + read.metadata.length).toBe(payloadBytes(given));
      }),
      { seed: SEED },
    );
  });

  it('is refused when a single bit has changed, or the end is missing', () => {
    const given = fc.tuple(event, fc.nat(), fc.nat(7));
    fc.assert(
      fc.property(given, ([stored, place, bit]) => {
        const record = encodeRecord('stream', stored);
        sealRecord(record, 3, 4);
        const flipped = Buffer.from(record);
        const at = place % record.length;
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << bit), at);
        expect(() => {
          checkRecord(flipped, 9);
        }).toThrow('position 9');
        expect(() => {
          checkRecord(record.subarray(0, at), 9);
        }).toThrow('position 9');
      }),
      { seed: SEED },
    );
  });

  it('gives JSON only where there is JSON', () => {
    const record = encodeRecord('s', {
      id: '01938f3a-0000-7000-8000-000000000001',
      type: 'T',
      isJson: true,
      data: '{"a":[1]}',
      metadata: 'not json',
    });
    sealRecord(record, 0, 0);
    const read = new RecordedEvent(0, record);
    expect(read.dataJson).toEqual({ a: [1] });
    expect(read.dataJson).toBe(read.dataJson);
    expect(read.metadataJson).toBeUndefined();
  });
});
