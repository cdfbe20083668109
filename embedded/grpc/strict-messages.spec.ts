import { Empty, StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb';
import { AppendReq, ReadReq } from '@eventstore/db-client/generated/streams_pb';
import { readMessage } from './strict-messages';

const HUGE = [0xff, 0xff, 0xff, 0xff, 0x7f];

describe('strict messages', () => {
  it('reads what the library wrote, nested and with a map', () => {
    const event = new AppendReq.ProposedMessage()
      .setId(new UUID().setString('00000000-0000-4000-8000-000000000000'))
      .setData(Buffer.from('{"text":"ß"}'))
      .setCustomMetadata(Buffer.alloc(0));
    event.getMetadataMap().set('type', 'Said').set('content-type', 'application/json');
    const append = new AppendReq().setProposedMessage(event);
    const read = new ReadReq().setOptions(
      new ReadReq.Options()
        .setCount('18446744073709551615')
        .setNoFilter(new Empty())
        .setStream(
          new ReadReq.Options.StreamOptions()
            .setRevision('18446744073709551615')
            .setStreamIdentifier(new StreamIdentifier().setStreamName(Buffer.from('ß'.repeat(300)))),
        ),
    );
    expect(readMessage(AppendReq, append.serializeBinary()).toObject()).toEqual(append.toObject());
    expect(readMessage(ReadReq, read.serializeBinary()).toObject()).toEqual(read.toObject());
    expect(readMessage(ReadReq, Buffer.alloc(0)).toObject()).toEqual(new ReadReq().toObject());
  });

  it('skips fields it does not know', () => {
    const unknown = [0xf8, 0x7f, 0x01, 0xfa, 0x7f, 0x02, 0x41, 0x42, 0xf9, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8];
    expect(readMessage(ReadReq, Buffer.from(unknown)).toObject()).toEqual(new ReadReq().toObject());
  });

  // In the order of the bytes: a message within a message, a map's entry, a text in it.
  it.each<[string, number[]]>([
    ['a message that is longer than what is there', [0x0a, ...HUGE]],
    ['a message in a message that is longer than it', [0x0a, 0x07, 0x0a, ...HUGE, 0x00]],
    ['a map whose entry is longer than it', [0x12, 0x06, 0x12, ...HUGE]],
    ['a map whose key is longer than its entry', [0x12, 0x08, 0x12, 0x06, 0x0a, ...HUGE]],
    ['bytes that are longer than their message', [0x12, 0x06, 0x22, ...HUGE]],
    ['a field of eight bytes with four', [0x09, 1, 2, 3, 4]],
    ['a number that does not end', [0x08, 0x80]],
    ['a number of eleven bytes', [0x08, ...Array.from({ length: 10 }, () => 0x80), 0x01]],
    ['a field without a number', [0x02, 0x00]],
    ['a group', [0x0b, 0x0c]],
    ['a wire type that is none', [0x0f]],
  ])('refuses %s', (_name, bytes) => {
    expect(() => readMessage(AppendReq, Buffer.from(bytes))).toThrow(RangeError);
  });

  it('refuses or reads whatever is cut off, at once', () => {
    const whole = new AppendReq()
      .setOptions(
        new AppendReq.Options()
          .setAny(new Empty())
          .setStreamIdentifier(new StreamIdentifier().setStreamName(Buffer.from('stream'))),
      )
      .serializeBinary();
    for (let length = 1; length < whole.length; length++) {
      expect(() => readMessage(AppendReq, whole.subarray(0, length))).toThrow(RangeError);
    }
  });
});
