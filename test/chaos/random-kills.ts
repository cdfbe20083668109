import { pick } from './crowd/random';
import type { Scenario, Stage } from './scenario';
import type { Topology } from './world/world';

/** One of them at a time, with a quiet moment in between: what is to heal must have the time to. */
type Misfortune = (stage: Stage) => Promise<void>;

const kill: Misfortune = async ({ world, random, pause }) => {
  const { program } = pick(world.nodes, random);
  await program.kill();
  await pause(0, 3_000);
  await program.start();
};
const killTwo: Misfortune = async ({ world, random, pause }) => {
  const two = [pick(world.nodes, random), pick(world.nodes, random)];
  await Promise.all(two.map(({ program }) => program.kill()));
  await pause(0, 2_000);
  for (const { program } of two) if (!program.isRunning) await program.start();
};
const stand: Misfortune = async ({ world, random }) => {
  await pick(world.nodes, random).program.paused(random() * 12_000);
};
const killEventStore: Misfortune = async ({ world, pause }) => {
  await world.eventStore?.kill();
  await pause(0, 3_000);
  if (world.eventStore?.isRunning === false) await world.eventStore.start();
};
const standEventStore: Misfortune = async ({ world, random }) => {
  await world.eventStore?.paused(random() * 6_000);
};
const killPostgres: Misfortune = async ({ world, pause }) => {
  await world.postgres?.kill();
  await pause(0, 3_000);
  if (world.postgres?.isRunning === false) await world.postgres.start();
};
const resetDevices: Misfortune = ({ world }) => {
  for (const door of world.doors) door.cut();
  return Promise.resolve();
};
const tearDevices: Misfortune = ({ world, random }) => {
  for (const door of world.doors) door.tear('toClient', () => Math.floor(random() * 2_000));
  return Promise.resolve();
};
const cutStores: Misfortune = ({ world, random }) => {
  for (const line of world.linesTo(random() < 0.5 ? 'eventStore' : 'postgres')) line.cut();
  return Promise.resolve();
};
const loseAnswer: Misfortune = async ({ world, random, pause }) => {
  const { toEventStore } = pick(world.gateways, random);
  // Whether anybody sends just then is chance: nobody waits for the trap to spring.
  void toEventStore?.intercept('MessageSent', 'swallowAnswer');
  await pause(500, 4_000);
  toEventStore?.cut();
};
const blackHole: Misfortune = async ({ world, random, pause }) => {
  const line = pick([...world.linesTo('eventStore'), ...world.linesTo('postgres')], random);
  Object.assign(line.blackHole, { toServer: true, toClient: true });
  await pause(500, 6_000);
  line.heal();
  line.cut();
};
const throwSomebodyOut: Misfortune = async ({ crowd, random, pause }) => {
  const person = crowd.personAt(1 + Math.floor(random() * (crowd.people.length - 1)));
  const room = pick(crowd.rooms, random);
  await crowd.changeMember(room, person, 'out');
  await pause(0, 1_000);
  await crowd.changeMember(room, person, 'in');
};

const standPostgres: Misfortune = async ({ world, random, pause }) => {
  await world.postgres?.signal('SIGSTOP');
  await pause(random() * 8_000);
  await world.postgres?.signal('SIGCONT');
};
const killRedis: Misfortune = async ({ world, pause }) => {
  await world.redis?.kill();
  await pause(0, 4_000);
  if (world.redis?.isRunning === false) await world.redis.run();
};
const standRedis: Misfortune = async ({ world, random, pause }) => {
  world.redis?.signal('SIGSTOP');
  await pause(random() * 8_000);
  world.redis?.signal('SIGCONT');
};
const flushRedis: Misfortune = async ({ world }) => {
  await world.redis?.command('FLUSHALL');
};
/** Between one gateway and Redis; the others go on with it. */
const partRedis: Misfortune = async ({ world, random, pause }) => {
  const line = pick(world.linesTo('redis'), random);
  // In one direction only: what a subscriber no longer hears, nobody tells it.
  Object.assign(line.blackHole, { toClient: true, toServer: random() < 0.5 });
  await pause(500, 8_000);
  line.heal();
  line.cut();
};

const CLUSTER: readonly Misfortune[] = [
  kill,
  kill,
  kill,
  killTwo,
  stand,
  killEventStore,
  standEventStore,
  killPostgres,
  resetDevices,
  tearDevices,
  cutStores,
  loseAnswer,
  blackHole,
  throwSomebodyOut,
  throwSomebodyOut,
];

const MISFORTUNES: Readonly<Record<Topology, readonly Misfortune[]>> = {
  single: [kill, kill, stand, resetDevices, tearDevices, throwSomebodyOut],
  cluster: CLUSTER,
  fleet: [...CLUSTER, stand, standPostgres, killRedis, standRedis, flushRedis, flushRedis, partRedis],
};

/** Minutes of whatever may happen, in an order that nobody chose: `npm run chaos -- --minutes 10`. */
export const randomKills = (topology: Topology, minutes: number): Scenario => ({
  name: `random-kills-${topology}`,
  what: 'random kills, pauses and cuts under load',
  topology,
  ...(topology === 'fleet' ? { relays: 2 } : {}),
  people: 5,
  rooms: 3,
  perSecond: 40,
  play: async (stage) => {
    const until = Date.now() + minutes * 60_000;
    while (Date.now() < until) {
      await stage.pause(500, 4_000);
      await pick(MISFORTUNES[topology], stage.random)(stage);
    }
  },
});
