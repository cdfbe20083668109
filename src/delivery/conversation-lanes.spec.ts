import { conversationOf, configOf, RecordingConnection, userOf } from '../../test/support/delivery';
import { EventLogUnavailable } from '../application/ports/event-log';
import type { Audience } from '../domain/conversation/audience';
import { MemoryEventLog } from '../infrastructure/memory/memory-event-log';
import { SystemClock } from '../kernel/clock';
import { asMillis, asSeq, type ConversationId, type Seq } from '../kernel/ids';
import { POSITION_START } from '../kernel/position';
import { Metrics } from '../observability/metrics';
import { Set as Members } from 'immutable';
import { ActivityHints } from './activity-hints';
import { AudienceLost, Audiences, type FeedEvent } from './audiences';
import { ConversationLanes, LANE_EVENTS_MAX, LANES_MAX } from './conversation-lanes';
import { FanOut } from './fan-out';
import { Hub } from './hub';

/** Audiences whose loading waits until the spec lets it go on. */
class GatedAudiences extends Audiences {
  failures: Error[] = [];
  loads = 0;
  open: () => void = () => undefined;
  private readonly gate = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  override async load(id: ConversationId, seq: Seq | -1): Promise<Audience | undefined> {
    this.loads++;
    await this.gate;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    return {
      conversationId: id,
      kind: 'group',
      members: Members([userOf(1)]),
      lastOrdinal: 0,
      seq: asSeq(seq),
    };
  }
}

const eventOf = (conversation: number, seq: number): FeedEvent => ({
  traceparent: undefined,
  conversationId: conversationOf(conversation),
  seq: asSeq(seq),
  position: POSITION_START,
  shard: 0,
  recorded: {
    conversationId: conversationOf(conversation),
    seq: asSeq(seq),
    at: asMillis(0),
    event: { type: 'MessageDeleted', by: userOf(1), target: asSeq(0) },
  },
});

describe('ConversationLanes', () => {
  let audiences: GatedAudiences;
  let lanes: ConversationLanes;
  let member: RecordingConnection;
  let handled: string[];

  beforeEach(() => {
    const hub = new Hub(configOf());
    audiences = new GatedAudiences(new MemoryEventLog());
    const summaries = { note: () => undefined } as never;
    const activity = new ActivityHints(hub);
    const fanOut = new FanOut(hub, new SystemClock(), new Metrics(), summaries, activity);
    lanes = new ConversationLanes(audiences, fanOut);
    member = new RecordingConnection(userOf(1));
    hub.register(member, 's');
    handled = [];
  });
  afterEach(() => {
    lanes.stop();
  });

  const take = (conversation: number, seq: number): void => {
    lanes.take(eventOf(conversation, seq), () => handled.push(`${conversation}@${seq}`));
  };
  const turns = async (): Promise<void> => {
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
  };

  it('has room for LANES_MAX loads and no more, and says when there is room again', async () => {
    for (let n = 1; n < LANES_MAX; n++) take(n, 5);
    expect(lanes.room()).toBeUndefined();
    take(LANES_MAX, 5);
    const room = lanes.room();
    expect(room).toBeDefined();
    audiences.open();
    await room;
    expect(lanes.room()).toBeUndefined();
    await turns();
    expect(handled).toHaveLength(LANES_MAX);
  });

  it('has room for LANE_EVENTS_MAX waiting events and no more', async () => {
    for (let seq = 1; seq < LANE_EVENTS_MAX; seq++) take(1, seq);
    expect(lanes.room()).toBeUndefined();
    take(1, LANE_EVENTS_MAX);
    expect(lanes.room()).toBeDefined();
    audiences.open();
    while (lanes.waiting > 0) await turns();
    expect(member.seqsOf(conversationOf(1))).toHaveLength(LANE_EVENTS_MAX);
    expect(audiences.loads).toBe(1);
  });

  it('keeps what comes during a load in order', async () => {
    take(1, 5);
    take(1, 6);
    take(1, 7);
    expect(lanes.waiting).toBe(3);
    audiences.open();
    await turns();
    expect(handled).toEqual(['1@5', '1@6', '1@7']);
    expect(member.seqsOf(conversationOf(1))).toEqual([5, 6, 7]);
  });

  it('asks a log that is away again and loses nothing', async () => {
    audiences.failures = [new EventLogUnavailable('away'), new EventLogUnavailable('away')];
    audiences.open();
    take(1, 5);
    take(1, 6);
    while (handled.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(member.seqsOf(conversationOf(1))).toEqual([5, 6]);
  });

  it('gives up on an event that cannot be delivered, and on no other', async () => {
    audiences.failures = [new AudienceLost('damaged')];
    audiences.open();
    take(1, 5);
    take(1, 6);
    take(2, 5);
    await turns();
    expect(handled.sort()).toEqual(['1@5', '1@6', '2@5']);
    expect(member.seqsOf(conversationOf(1))).toEqual([6]);
    expect(member.seqsOf(conversationOf(2))).toEqual([5]);
  });

  it('drops what it knows already, and passes over types of a newer version', async () => {
    audiences.open();
    take(1, 5);
    await turns();
    take(1, 5);
    take(1, 3);
    lanes.take({ ...eventOf(1, 6), recorded: undefined }, () => handled.push('unknown'));
    take(1, 7);
    expect(member.seqsOf(conversationOf(1))).toEqual([5, 7]);
    expect(handled).toEqual(['1@5', '1@5', '1@3', 'unknown', '1@7']);
  });
});
