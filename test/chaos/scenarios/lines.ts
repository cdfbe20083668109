import { FaultProxy } from '../../support/fault-proxy';
import { pick } from '../crowd/random';
import type { Scenario, Stage } from '../scenario';

const rounds = ({ form }: Stage, short: number, long: number): number => (form === 'short' ? short : long);

/** Lines between devices, nodes and stores that fail in every way TCP knows. */
export const LINE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'event-store-slow',
    what: 'every append takes 500 ms longer',
    topology: 'cluster',
    play: async (stage) => {
      for (const line of stage.world.linesTo('eventStore')) Object.assign(line, { latencyMs: 250 });
      await stage.acknowledged(stage.form === 'short' ? 60 : 400);
    },
  },
  {
    name: 'append-times-out-yet-committed',
    what: 'the answer to an append never comes: committed, and nobody knows',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 4); n > 0; n--) {
        await stage.acknowledged(20);
        const { toEventStore } = pick(stage.world.gateways, stage.random);
        await toEventStore?.intercept('MessageSent', 'swallowAnswer');
        // Beyond the 10 s that an append may take; the short form lets the connection break instead.
        await stage.pause(stage.form === 'short' ? 500 : 12_000);
        toEventStore?.cut();
      }
      await stage.acknowledged(40);
    },
  },
  {
    name: 'append-cut',
    what: 'the connection to the event store breaks as an append arrives, or just after it',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 3, 20); n > 0; n--) {
        await stage.acknowledged(15);
        const { toEventStore } = pick(stage.world.gateways, stage.random);
        await toEventStore?.intercept('MessageSent', stage.random() < 0.5 ? 'cutBefore' : 'cutAfter');
      }
    },
  },
  {
    name: 'partition-from-the-log',
    what: 'one gateway hears nothing of the event store for 15 s and is told nothing',
    topology: 'cluster',
    play: async (stage) => {
      await stage.acknowledged(40);
      const { toEventStore } = pick(stage.world.gateways, stage.random);
      if (toEventStore === undefined) throw new Error('a line is needed');
      Object.assign(toEventStore.blackHole, { toServer: true, toClient: true });
      await stage.pause(stage.form === 'short' ? 2_000 : 15_000);
      toEventStore.heal();
      toEventStore.cut();
      await stage.acknowledged(40);
    },
  },
  {
    name: 'partition-from-postgres',
    what: 'nobody hears anything of Postgres for 15 s: sending and live delivery go on',
    topology: 'cluster',
    play: async (stage) => {
      await stage.acknowledged(40);
      const lines = stage.world.linesTo('postgres');
      for (const { blackHole } of lines) Object.assign(blackHole, { toServer: true, toClient: true });
      await stage.acknowledged(40);
      await stage.pause(stage.form === 'short' ? 1_000 : 15_000);
      for (const line of lines) {
        line.heal();
        line.cut();
      }
      await stage.acknowledged(40);
    },
  },
  {
    name: 'sockets-reset',
    what: 'all sockets of all devices are reset at once, again and again',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 3, 30); n > 0; n--) {
        await stage.acknowledged(20);
        for (const door of stage.world.doors) door.cut();
      }
    },
  },
  {
    name: 'half-open-peers',
    what: 'the network forgets all connections without a FIN; devices find out by themselves',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 1, 3); n > 0; n--) {
        await stage.acknowledged(30);
        for (const door of stage.world.doors) door.halfOpen();
        await stage.acknowledged(20);
      }
    },
  },
  {
    name: 'torn-frames',
    what: 'connections break in the middle of a frame, in either direction',
    topology: 'cluster',
    play: async (stage) => {
      for (let n = rounds(stage, 3, 30); n > 0; n--) {
        await stage.acknowledged(15);
        const direction = stage.random() < 0.5 ? 'toServer' : 'toClient';
        for (const door of stage.world.doors) door.tear(direction, () => Math.floor(stage.random() * 700));
        await stage.pause(300);
      }
    },
  },
  {
    name: 'one-byte-segments',
    what: 'everything devices and servers say comes byte by byte',
    topology: 'cluster',
    perSecond: 8,
    people: 2,
    play: async (stage) => {
      for (const door of stage.world.doors) {
        door.segmentBytes = 1;
        door.cut();
      }
      await stage.acknowledged(stage.form === 'short' ? 20 : 100);
    },
  },
  {
    name: 'jittery-lines',
    what: '300 ± 200 ms between devices and nodes, two sockets of each user',
    topology: 'cluster',
    play: async (stage) => {
      for (const door of stage.world.doors) Object.assign(door, { latencyMs: 100, jitterMs: 400 });
      await stage.acknowledged(stage.form === 'short' ? 60 : 600);
    },
  },
  {
    name: 'slow-reader',
    what: 'a device reads 1 KB/s in a busy room; the others notice nothing',
    topology: 'cluster',
    perSecond: 60,
    play: async (stage) => {
      const door = stage.world.doors[0];
      if (door === undefined) throw new Error('a door is needed');
      const drip = await FaultProxy.open({ host: '127.0.0.1', port: door.port }, stage.random);
      try {
        drip.bytesPerSecond = 1_024;
        const slow = stage.crowd.addWire(
          stage.crowd.personAt(1),
          () => `http://127.0.0.1:${drip.port}`,
          600_000,
        );
        slow.start();
        await stage.acknowledged(stage.form === 'short' ? 200 : 2_000);
        drip.heal();
        drip.cut();
        await stage.acknowledged(30);
      } finally {
        stage.atTheEnd(() => drip.close());
      }
    },
  },
];
