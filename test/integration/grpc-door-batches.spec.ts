import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { credentials, status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { Empty } from 'google-protobuf/google/protobuf/empty_pb';
import { StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb';
import { StreamsClient } from '@eventstore/db-client/generated/streams_grpc_pb';
import { BatchAppendReq, type BatchAppendResp } from '@eventstore/db-client/generated/streams_pb';
import { openTestDoor, type TestDoor } from '../support/grpc-door';

const [OK, EXHAUSTED]: readonly number[] = [status.OK, status.RESOURCE_EXHAUSTED];

type Call = ClientDuplexStream<BatchAppendReq, BatchAppendResp>;

/** Half of an append, which stays in the server's memory until the other half comes. */
function half(bytes: number): BatchAppendReq {
  const options = new BatchAppendReq.Options()
    .setStreamIdentifier(new StreamIdentifier().setStreamName(Buffer.from('s')))
    .setAny(new Empty());
  const event = new BatchAppendReq.ProposedMessage()
    .setId(new UUID().setString(randomUUID()))
    .setData(Buffer.alloc(bytes, 'x'));
  event.getMetadataMap().set('type', 'Said').set('content-type', 'application/octet-stream');
  return new BatchAppendReq()
    .setCorrelationId(new UUID().setString(randomUUID()))
    .setOptions(options)
    .setProposedMessagesList([event])
    .setIsFinal(false);
}

const whole = (bytes: number): BatchAppendReq => half(bytes).setIsFinal(true);

describe('calls that append', () => {
  let door: TestDoor;
  const raws: StreamsClient[] = [];
  const open = (): Call => {
    const raw = new StreamsClient(`127.0.0.1:${door.port}`, credentials.createInsecure());
    raws.push(raw);
    // A call that nobody asks about any more ends with the door.
    return raw.batchAppend().on('error', () => undefined);
  };
  const answered = async (call: Call): Promise<void> => {
    call.write(whole(1));
    await once(call, 'data');
  };
  const refused = async (call: Call): Promise<number> => {
    const [error] = (await once(call, 'error')) as [ServiceError];
    return error.code;
  };
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.close();
    await door.close();
  });

  it('are so many and no more; one that ends makes room', async () => {
    door = await openTestDoor({ batchCallsMax: 2 });
    const [first, second] = [open(), open()];
    await answered(first);
    await answered(second);
    expect(await refused(open())).toBe(status.RESOURCE_EXHAUSTED);
    const over = once(first, 'end');
    first.end();
    await over;
    await answered(open());
    await answered(second);
  });

  it('hold so many bytes together and no more; one that is cut off gives its own back', async () => {
    door = await openTestDoor({ batchBytesMax: 1_500 });
    const halves = [open(), open()];
    for (const call of halves) {
      await answered(call);
      call.write(half(1_000));
    }
    const attempt = async (): Promise<number> => {
      const call = open();
      const code = refused(call);
      const done = answered(call).then(() => status.OK);
      return Promise.race([code, done]).catch(async () => code);
    };
    await door.until(async () => (await attempt()) === EXHAUSTED);
    for (const call of halves) call.cancel();
    await door.until(async () => (await attempt()) === OK);
  });
});
