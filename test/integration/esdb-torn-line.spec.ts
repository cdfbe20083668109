import { verifyChain } from '../../src/application/audit-chain';
import { Executor } from '../../src/application/executor';
import type { Outcome } from '../../src/application/outcome';
import { AppendOutcomeUnknown } from '../../src/application/ports/event-log';
import { EsdbEventLog } from '../../src/infrastructure/event-log/esdb/esdb-event-log';
import { MemoryMessageIndex } from '../../src/infrastructure/memory/memory-message-index';
import { collect, newEvents } from '../contracts/event-log/fixture';
import { group, messagesIn, send, storedIn } from '../support/conversation-commands';
import { FaultProxy, type Interception } from '../support/fault-proxy';
import { openTestDoor, type TestDoor } from '../support/grpc-door';
import { ResumingSubscriber } from '../support/resuming-subscriber';
import { eventually } from '../support/sdk-device';

const told = { kind: expect.stringMatching(/^(accepted|repeated)$/) as string };
const FAULTS_EACH = 4;
const ATTEMPTS_MAX = 10;
/** Far below the client's default of ten seconds, of which it warns. */
const KEEP_ALIVE = 'keepAliveInterval=200&keepAliveTimeout=200';

describe('the adapter over a line that fails', () => {
  let door: TestDoor;
  let proxy: FaultProxy;
  let log: EsdbEventLog;
  /** The same, by a line that does not fail. */
  let direct: EsdbEventLog;
  let executor: Executor;

  beforeEach(async () => {
    jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    door = await openTestDoor();
    proxy = await FaultProxy.open({ port: door.port });
    const connectionString = `esdb://127.0.0.1:${proxy.port}?tls=false&${KEEP_ALIVE}`;
    log = new EsdbEventLog({ connectionString, appendTimeoutMs: 1_000, readTimeoutMs: 1_000 });
    direct = new EsdbEventLog({ connectionString: `esdb://127.0.0.1:${door.port}?tls=false` });
    executor = new Executor(log, new MemoryMessageIndex(log));
  });
  afterEach(async () => {
    await executor.close();
    await log.close();
    await direct.close();
    await proxy.close();
    await door.close();
    jest.restoreAllMocks();
  });

  /** As a device does: the same again until it is told where the message is. */
  const untilTold = async (command: Parameters<Executor['execute']>[0]): Promise<Outcome> => {
    for (;;) {
      const outcome = await executor.execute(command);
      if (outcome.kind !== 'unavailable') return outcome;
    }
  };

  it.each<Interception>(['cutBefore', 'cutAfter', 'swallowAnswer'])(
    'stores a message once whose append meets: %s',
    async (fault) => {
      const start = group();
      expect(await untilTold(start)).toMatchObject(told);
      const id = start.conversationId;
      const texts: string[] = [];
      for (let n = 0; n < FAULTS_EACH; n++) {
        const [torn, beside] = [`torn ${n}.`, `beside ${n}.`];
        const sprung = proxy.intercept(torn, fault);
        const outcomes = await Promise.all([torn, beside].map((text) => untilTold(send(id, { text }))));
        await sprung;
        for (const outcome of outcomes) expect(outcome).toMatchObject(told);
        texts.push(torn, beside);
      }
      const stored = (await messagesIn(direct, id)).map(({ text }) => text);
      expect(stored.sort()).toEqual(texts.sort());
      expect(verifyChain(await storedIn(direct, id))).toMatchObject({ kind: 'intact' });
    },
  );

  it('says that an outcome is unknown, and keeps no connection that does not answer', async () => {
    let outcome: unknown;
    let stream = '';
    // On a machine that stands still for a moment the connection ends before it is half-open: then once more.
    for (let attempt = 0; attempt < ATTEMPTS_MAX && !(outcome instanceof AppendOutcomeUnknown); attempt++) {
      const warm = () => log.append('warm', newEvents(1), { expected: 'any' });
      await eventually('a connection', () => warm().catch(() => undefined));
      proxy.halfOpen();
      stream = `lost-${attempt}`;
      outcome = await log
        .append(stream, newEvents(1), { expected: 'noStream' })
        .catch((error: unknown) => error);
    }
    expect(outcome).toBeInstanceOf(AppendOutcomeUnknown);
    await eventually('another connection', () => log.head().catch(() => undefined));
    expect(proxy.accepted).toBeGreaterThan(1);
    expect(await direct.readStream(stream, { limit: 1 })).toEqual({ kind: 'streamNotFound' });
  });

  it('ends a subscription that has only begun to begin when the log is closed', async () => {
    await eventually('a connection', () => log.head().catch(() => undefined));
    proxy.blackHole.toClient = true;
    const waiting = collect(log.subscribe({ after: 'end' }), () => false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await log.close();
    expect((await waiting).items).toEqual([]);
  });

  it('notices that a subscription is half-open, and goes on where it was', async () => {
    const subscriber = new ResumingSubscriber(log, { streamPrefixes: ['followed'] });
    try {
      const appended: string[] = [];
      for (let n = 0; n < 3; n++) {
        const events = newEvents(3);
        appended.push(...events.map(({ id }) => id));
        await direct.append(`followed-${n}`, events, { expected: 'noStream' });
        await eventually('what was appended', () => subscriber.events.length === appended.length);
        const resumed = subscriber.resumed;
        // Nothing more comes on this connection, and no end of it either: only silence tells.
        proxy.halfOpen();
        await eventually('another subscription', () => subscriber.resumed > resumed);
      }
      expect(subscriber.events.map(({ id }) => id)).toEqual(appended);
    } finally {
      await subscriber.stop();
    }
  });

  it('loses and repeats nothing for a subscriber while its line is cut, slow, and swallows', async () => {
    const subscriber = new ResumingSubscriber(log, { streamPrefixes: ['followed'] });
    const faults = [
      () => {
        proxy.cut();
      },
      () => {
        proxy.latencyMs = 20;
      },
      () => {
        proxy.cut('end');
      },
      () => {
        proxy.bytesPerSecond = 100_000;
      },
      () => {
        proxy.blackHole.toClient = true;
      },
      () => {
        proxy.heal();
        // A connection that went on would miss bytes in its middle, and with them events, as over no line there is.
        proxy.cut();
      },
    ];
    try {
      const appended: string[] = [];
      for (const fault of [...faults, ...faults]) {
        const events = newEvents(20);
        // A cut that meets nobody would be none.
        if (!proxy.blackHole.toClient) await eventually('a subscription', () => subscriber.isFollowing);
        const writing = direct.append('followed', events, { expected: 'any' });
        fault();
        await writing;
        appended.push(...events.map(({ id }) => id));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      proxy.heal();
      await eventually('all events', () => subscriber.events.length >= appended.length);
      expect(subscriber.events.map(({ id }) => id)).toEqual(appended);
      expect(subscriber.resumed).toBeGreaterThan(1);
    } finally {
      await subscriber.stop();
    }
  });
});
