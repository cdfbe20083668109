import fc from 'fast-check';
import { CONVERSATIONS, TestNode, TestRelay, USERS, type TestBatch } from '../../../test/support/relay-chain';
import { replayable } from '../../../test/support/replayable';
import { RELAY_SILENT_MS } from './chain';

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ act: 'relayTakes' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'relayTakesLate' } as const) },
  { weight: 2, arbitrary: fc.constant({ act: 'relayCatchesUp' } as const) },
  { weight: 6, arbitrary: fc.constant({ act: 'relaySends' } as const) },
  { weight: 5, arbitrary: fc.constant({ act: 'relayLearns' } as const) },
  { weight: 9, arbitrary: fc.constant({ act: 'arrives' } as const) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('lost' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('doubled' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('overtaken' as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.constant({ act: 'relayDies' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'zombieSends' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'relayEnds' } as const) },
  { weight: 6, arbitrary: fc.constant({ act: 'nodeTakes' } as const) },
  { weight: 4, arbitrary: fc.constant({ act: 'nodeHasHandedOut' } as const) },
  { weight: 1, arbitrary: fc.constant({ act: 'silence' } as const) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('connect' as const), user: fc.nat(USERS - 1) }) },
);

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Chain', () => {
  it('tells everybody everything, once and in order, whatever happens to batches and relays', async () => {
    let relayed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ conversation: fc.nat(CONVERSATIONS - 1), user: fc.nat(USERS - 1) }), {
          minLength: 30,
          maxLength: 60,
        }),
        fc.array(step, { minLength: 60, maxLength: 250 }),
        async (drawn, steps) => {
          // One user a conversation, as sockets see it: each has the conversation's events in their order.
          const log = drawn.map(({ conversation }, place) => ({
            place,
            conversation,
            user: conversation % USERS,
          }));
          const node = new TestNode(log, 2);
          let relay = new TestRelay(1, log, 1);
          let zombie: TestRelay | undefined;
          const line: TestBatch[] = [];
          for (const one of steps) {
            node.now += 10;
            switch (one.act) {
              case 'relayTakes':
                relay.take(() => false);
                break;
              case 'relayTakesLate':
                relay.take(() => true);
                break;
              case 'relayCatchesUp':
                relay.catchUp();
                break;
              case 'relaySends':
                if (relay.isKnown) line.push(relay.flush());
                break;
              case 'relayLearns':
                line.push(...relay.learn(node.version, [...node.users.keys()]));
                break;
              case 'arrives': {
                const batch = line.shift();
                if (batch !== undefined) node.chain.hear(batch, node.now);
                break;
              }
              case 'lost':
                line.splice(one.which, 1);
                break;
              case 'doubled': {
                const batch = line[one.which];
                if (batch !== undefined) line.splice(one.which, 0, batch);
                break;
              }
              case 'overtaken': {
                const [batch] = line.splice(one.which, 1);
                if (batch !== undefined) line.unshift(batch);
                break;
              }
              case 'relayDies':
                zombie = relay;
                relay = new TestRelay(relay.term + 1, log, relay.taken);
                break;
              case 'zombieSends':
                zombie?.take(() => false);
                if (zombie?.isKnown === true) line.push(zombie.flush());
                break;
              case 'relayEnds':
                node.chain.end(relay.term);
                break;
              case 'nodeTakes':
                node.step();
                break;
              case 'nodeHasHandedOut':
                node.finishLeaving();
                break;
              case 'silence':
                node.now += RELAY_SILENT_MS + 1;
                node.chain.tick(node.now);
                break;
              case 'connect':
                node.connect(one.user);
                break;
            }
            await turn();
            node.note();
            if (node.chain.isRelayed) relayed++;
            node.check();
          }
          // At the end nobody is left but the node itself, and then it has come to the end of the log.
          node.finishLeaving();
          await turn();
          node.chain.giveUp('ended');
          node.note();
          for (const _ of log) node.step();
          node.check();
        },
      ),
      replayable(300),
    );
    expect(relayed).toBeGreaterThan(100);
  });
});
