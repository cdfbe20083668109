import { Floor } from '../floors/floor';
import type { Metrics, Scenario, Surroundings } from '../scenario';
import { directOpen } from './direct';

const RATE = 10_000;
const RATE_QUICK = 2_000;

/** The generator against a relay that costs next to nothing: what it takes itself of the machine it measures. */
async function generator(surroundings: Surroundings): Promise<Metrics> {
  const rate = Number(surroundings.option('rate') ?? (surroundings.quick ? RATE_QUICK : RATE));
  const floor = await Floor.start('ws relay');
  try {
    const metrics = await directOpen({ ...surroundings, start: () => Promise.resolve(floor) }, rate);
    const wanted = [
      'acks/s',
      'deliveries/s',
      'generator CPU cores',
      'generator late p99 ms',
      'server CPU cores',
    ];
    return {
      'asked for, messages/s': rate,
      ...Object.fromEntries(wanted.map((name) => [name, metrics[name] ?? 0])),
    };
  } finally {
    await floor.stop();
  }
}

export const generatorScenario: Scenario = {
  name: 'generator',
  about: `what the load generator takes at ${RATE} messages/s, against a bare ws relay (--rate)`,
  cases: [{ name: 'generator', run: generator }],
};
