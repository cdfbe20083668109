import { pick } from '../crowd/random';
import { OldProgram } from '../world/old-program';
import type { Scenario, Stage } from '../scenario';
import type { Node } from '../world/world';

const rounds = ({ form }: Stage, short: number, long: number): number => (form === 'short' ? short : long);

const killAndReturn = async ({ program }: Node): Promise<void> => {
  await program.kill();
  await program.start();
};

/** Everybody talks in conversations of the program as it was at first, which now and then still writes, too. */
const oldVersions: Scenario['play'] = async (stage) => {
  const { crowd, world, random } = stage;
  const old = new OldProgram(world.logUrl);
  try {
    const members = crowd.people.map(({ id }) => id);
    const conversations = [await old.haveTalked(members, 40), await old.haveTalked(members, 300)];
    for (const id of conversations) crowd.adoptRoom(id);
    crowd.talk(40, conversations);
    for (let n = rounds(stage, 2, 10); n > 0; n--) {
      await stage.acknowledged(30);
      const killing = killAndReturn(pick(world.nodes, random));
      for (const id of conversations) await old.haveRead(id, crowd.personAt(2).id);
      await killing;
    }
  } finally {
    old.close();
  }
};

/** Processes that die, stand still, or are replaced. */
export const PROCESS_SCENARIOS: readonly Scenario[] = [
  {
    name: 'everything-killed',
    what: 'kill -9 of the one process of `npm start` at random moments under load',
    topology: 'single',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 6); n > 0; n--) {
        await stage.acknowledged(60);
        await stage.pause(0, 400);
        await killAndReturn(pick(stage.world.gateways, stage.random));
      }
    },
  },
  {
    name: 'gateway-killed',
    what: 'kill -9 of a gateway at random moments under load; its devices go on at the other one',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 2, 8); n > 0; n--) {
        await stage.acknowledged(40);
        await stage.pause(0, 300);
        await killAndReturn(pick(stage.world.gateways, stage.random));
      }
    },
  },
  {
    name: 'gateway-killed-before-commit',
    what: 'a gateway dies between receiving a message and committing it',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 4); n > 0; n--) {
        await stage.acknowledged(20);
        const gateway = pick(stage.world.gateways, stage.random);
        await gateway.toEventStore?.intercept('MessageSent', 'cutBefore');
        await killAndReturn(gateway);
      }
    },
  },
  {
    name: 'gateway-killed-before-ack',
    what: 'a gateway dies between the commit of a message and its acknowledgement',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 4); n > 0; n--) {
        await stage.acknowledged(20);
        const gateway = pick(stage.world.gateways, stage.random);
        await gateway.toEventStore?.intercept('MessageSent', 'swallowAnswer');
        await stage.pause(50, 200);
        await killAndReturn(gateway);
      }
    },
  },
  {
    name: 'gateway-paused',
    what: 'SIGSTOP of a gateway for 10 s while its devices move to the other one, then SIGCONT',
    topology: 'cluster',
    play: async (stage) => {
      await stage.acknowledged(40);
      const gateway = pick(stage.world.gateways, stage.random);
      const pauseMs = stage.form === 'short' ? 3_000 : 12_000;
      await gateway.program.paused(pauseMs, () => stage.acknowledged(20));
      await stage.acknowledged(40);
    },
  },
  {
    name: 'projector-paused-past-its-lease',
    what: 'SIGSTOP of every projector in turn past its lease; the other takes over; the first one wakes up',
    topology: 'cluster',
    play: async (stage) => {
      for (const { program } of stage.world.projectors) {
        await stage.acknowledged(30);
        await program.paused(13_000, () => stage.acknowledged(30));
      }
      await stage.acknowledged(30);
    },
  },
  {
    name: 'projectors-killed',
    what: 'kill -9 of both projectors, one after the other and together; sending goes on without them',
    topology: 'cluster',
    play: async (stage) => {
      const [one, other] = stage.world.projectors;
      if (one === undefined || other === undefined) throw new Error('two projectors are needed');
      for (let n = rounds(stage, 1, 3); n > 0; n--) {
        await stage.acknowledged(30);
        await killAndReturn(one);
        await Promise.all([one.program.kill(), other.program.kill()]);
        await stage.acknowledged(40);
        await Promise.all([one.program.start(), other.program.start()]);
      }
    },
  },
  {
    name: 'postgres-killed',
    what: 'kill -9 of Postgres under load, back after 2 s: sending goes on meanwhile',
    topology: 'cluster',
    play: async (stage) => {
      const { postgres } = stage.world;
      if (postgres === undefined) throw new Error('Postgres must be a process of its own');
      for (let n = rounds(stage, 1, 4); n > 0; n--) {
        await stage.acknowledged(40);
        await postgres.kill();
        await stage.acknowledged(20);
        await stage.pause(2_000);
        await postgres.start();
      }
      await stage.acknowledged(40);
    },
  },
  {
    name: 'event-store-gone',
    what: 'kill -9 of the event store under load, back after 30 s: sends are refused as retryable',
    topology: 'cluster',
    play: async (stage) => {
      const { eventStore } = stage.world;
      if (eventStore === undefined) throw new Error('the event store must be a process of its own');
      for (let n = rounds(stage, 1, 2); n > 0; n--) {
        await stage.acknowledged(40);
        await eventStore.kill();
        await stage.pause(stage.form === 'short' ? 1_500 : 30_000);
        await eventStore.start();
        await stage.acknowledged(20);
      }
    },
  },
  {
    name: 'event-loop-blocked',
    what: 'every process stands still for 2 s, one after the other, the event store too',
    topology: 'cluster',
    play: async (stage) => {
      const { nodes, eventStore } = stage.world;
      for (const program of [...nodes.map((node) => node.program), eventStore]) {
        await stage.acknowledged(10);
        await program?.paused(2_000);
      }
    },
  },
  {
    name: 'rolling-restart',
    what: 'SIGTERM and a new start of every node in turn, under load',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 2); n > 0; n--) {
        for (const { program } of stage.world.nodes) {
          await stage.acknowledged(20);
          await program.stop();
          await program.start();
        }
      }
    },
  },
  {
    name: 'clock-jumps',
    what: 'the wall clocks of all nodes jump an hour ahead, and two hours back',
    topology: 'cluster',
    play: async (stage) => {
      const hour = 3_600_000;
      for (const offset of [hour, -hour, 0]) {
        await stage.acknowledged(40);
        await stage.world.setClock(offset);
        await stage.pause(1_000);
      }
      await stage.acknowledged(40);
    },
  },
  {
    name: 'old-event-versions',
    what: 'conversations of the first version of the program, which still writes to them, while nodes are killed',
    topology: 'cluster',
    people: 4,
    play: oldVersions,
  },
];
