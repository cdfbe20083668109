import type { Scenario } from './scenario';
import { CROWD_SCENARIOS } from './scenarios/crowds';
import { FLEET_SCENARIOS } from './scenarios/fleet';
import { LINE_SCENARIOS } from './scenarios/lines';
import { PROCESS_SCENARIOS } from './scenarios/processes';

/** All of them, in the order of `npm run chaos -- --list`. Names are for ever: reports and bugs refer to them. */
export const SCENARIOS: readonly Scenario[] = [
  ...PROCESS_SCENARIOS,
  ...LINE_SCENARIOS,
  ...CROWD_SCENARIOS,
  ...FLEET_SCENARIOS,
];

/** @throws Error naming what there is */
export function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `no scenario "${name}"; there are ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`,
  );
}
