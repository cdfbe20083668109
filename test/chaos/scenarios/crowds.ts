import { connect } from 'node:net';
import { pick } from '../crowd/random';
import type { Scenario } from '../scenario';

/** Nothing fails but what people do at the same time. */
export const CROWD_SCENARIOS: readonly Scenario[] = [
  {
    name: 'membership-races',
    what: 'people are thrown out and taken in again while everybody writes, a hundred times',
    topology: 'cluster',
    perSecond: 60,
    play: async (stage) => {
      const { crowd, random } = stage;
      for (let n = stage.form === 'short' ? 6 : 100; n > 0; n--) {
        const person = crowd.personAt(1 + Math.floor(random() * (crowd.people.length - 1)));
        const room = pick(crowd.rooms, random);
        await crowd.changeMember(room, person, 'out');
        if (random() < 0.3) for (const door of stage.world.doors) door.cut();
        await stage.pause(0, 200);
        await crowd.changeMember(room, person, random() < 0.85 ? 'in' : 'out');
        await stage.pause(0, 100);
      }
    },
  },
  {
    name: 'two-hundred-writers',
    what: '200 people write to one conversation at once, over both gateways',
    topology: 'cluster',
    perSecond: 0,
    people: 3,
    rooms: 1,
    play: async (stage) => {
      const { crowd, form } = stage;
      const writers = [...crowd.people];
      for (let n = 0; n < (form === 'short' ? 20 : 200); n++) writers.push(await crowd.signUp(`writer${n}`));
      const room = await crowd.openRoom(writers);
      const devices = writers.map((writer) => crowd.addWire(writer));
      for (const device of devices) device.start();
      for (let round = 0; round < (form === 'short' ? 2 : 5); round++) {
        for (const device of devices) crowd.sayOn(device, room);
        await stage.acknowledged(Math.floor(devices.length / 2));
      }
    },
  },
  {
    name: 'token-expiry',
    what: 'access tokens live 3 s: sockets are closed with 4004 in mid-session, and come back with another',
    topology: 'single',
    environment: { ACCESS_TOKEN_TTL_SECONDS: '3' },
    play: async (stage) => {
      await stage.pause(stage.form === 'short' ? 6_000 : 30_000);
    },
  },
  {
    name: 'out-of-file-descriptors',
    what: 'a node may open few files, and devices use them all up; then they go',
    topology: 'single',
    wrapper: ['bash', '-c', 'ulimit -n 160; exec "$0" "$@"'],
    play: async (stage) => {
      const port = Number(new URL(stage.world.urls[0] ?? '').port);
      for (let n = stage.form === 'short' ? 1 : 3; n > 0; n--) {
        await stage.acknowledged(30);
        const idlers = Array.from({ length: 300 }, () =>
          connect(port, '127.0.0.1').on('error', () => undefined),
        );
        await stage.pause(3_000);
        for (const idler of idlers) idler.destroy();
      }
      await stage.acknowledged(30);
    },
  },
];
