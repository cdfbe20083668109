import { buildServer } from '../support/server-process';
import { randomFrom } from './crowd/random';
import { lateness, playScenario } from './run';
import { SCENARIOS, scenarioOf } from './scenarios';
import { World } from './world/world';

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
/** Against a cluster that all of them share; the others, and the long forms, are for `npm run chaos`. */
const SHORT = ['gateway-killed-before-ack', 'postgres-killed', 'sockets-reset', 'membership-races'] as const;

it('has twenty misfortunes at least, each with a name of its own', () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(20);
  expect(() => scenarioOf('sunshine')).toThrow('no scenario "sunshine"; there are everything-killed, ');
});

it('takes 10 s for late, and on a slower machine as much more as calm takes there', () => {
  expect(lateness(10_000, 1_000, 'a device')).toEqual([]);
  expect(lateness(10_001, 1_500, 'a device')).toMatchObject([{ invariant: 21 }]);
  expect(lateness(30_000, 4_500, 'a device')).toEqual([]);
  expect(lateness(30_001, 4_500, 'a device')).toMatchObject([{ invariant: 21 }]);
});

/** Seven nodes and a Redis take a while to start: `.ci/run` asks for it, and whoever sets CHAOS_FLEET. */
const describeFleet = (process.env['CHAOS_FLEET'] ?? '') === '' ? describe.skip : describe;

/** Seconds on an idle machine; nothing here is measured. */
const PATIENCE_MS = 400_000;

describe(`promises under faults, the short form of npm run chaos (SEED=${SEED})`, () => {
  let world: World;

  beforeAll(async () => {
    world = await World.open({
      topology: 'cluster',
      projectors: 1,
      build: await buildServer(),
      random: randomFrom(SEED),
    });
  }, PATIENCE_MS);
  afterAll(async () => {
    await world.close();
  });

  it.each(SHORT)(
    '%s',
    async (name) => {
      const scenario = { ...scenarioOf(name), people: 3, perSecond: 30 };
      const { verdict } = await playScenario(world, scenario, {
        ...{ seed: SEED, form: 'short' as const },
        // Of a machine that runs other tests besides.
        judgesLiveness: false,
      });
      expect(verdict.violations).toEqual([]);
      expect(verdict.counted.acknowledged).toBeGreaterThan(20);
      expect(verdict.counted.sightings).toBeGreaterThan(100);
      expect(verdict.counted.views).toBe(6);
    },
    PATIENCE_MS,
  );
});

describeFleet(`promises of a fleet (SEED=${SEED})`, () => {
  let world: World;

  beforeAll(async () => {
    world = await World.open({ topology: 'fleet', build: await buildServer(), random: randomFrom(SEED) });
  }, PATIENCE_MS);
  afterAll(async () => {
    await world.close();
  });

  it(
    'fleet-gateways: one gateway is killed, one stopped, one drained',
    async () => {
      const scenario = { ...scenarioOf('fleet-gateways'), people: 3, perSecond: 30 };
      const { verdict } = await playScenario(world, scenario, {
        ...{ seed: SEED, form: 'short' as const, judgesLiveness: false },
      });
      expect(verdict.violations).toEqual([]);
      expect(verdict.counted.acknowledged).toBeGreaterThan(60);
    },
    PATIENCE_MS,
  );
});
