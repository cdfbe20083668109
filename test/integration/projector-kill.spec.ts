import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIVE_PROJECTIONS } from '../../projections/live';
import { readCheckpoints } from '../../projections/runner/checkpoints';
import { verifyReadModels } from '../../projections/verify';
import { hasPassed, nearest, POSITION_START, type Position } from '../../src/kernel/position';
import { createTestDatabase } from '../support/postgres';
import { logOfSeed } from '../support/project-until-killed';
import { exitOf, startTypeScript } from '../support/typescript-child';

const SCRIPT = join(__dirname, '..', 'support', 'project-until-killed.ts');
const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 4);
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const NAMES = LIVE_PROJECTIONS.map(({ name }) => name);

describe(`a projector killed with -9 (SEED=${SEED})`, () => {
  it(`has rows and checkpoint that belong together, whenever it is looked at, ${ROUNDS} times`, async () => {
    const db = await createTestDatabase();
    try {
      const eventLog = await logOfSeed(SEED);
      const head = await eventLog.head();
      let before: Position = POSITION_START;
      for (let round = 0; round < ROUNDS && !hasPassed(before, head); round++) {
        const child = startTypeScript(SCRIPT, [db.url, String(SEED)], {
          environment: { PROJECT_UNTIL_KILLED: 'yes' },
        });
        // In full swing: one that has not begun has nothing to tear apart.
        await once(child, 'message');
        await sleep(((SEED + round) * 7_919) % 60);
        child.kill('SIGKILL');
        await exitOf(child);
        // Nobody mends anything: what is there now is what the kill has left.
        const verified = await verifyReadModels({ eventLog, database: db.database });
        expect(verified.differences).toEqual([]);
        const reached = [...(await readCheckpoints(db.database, NAMES)).values()].reduce(nearest);
        expect(hasPassed(reached, before)).toBe(true);
        expect(hasPassed(before, reached)).toBe(false);
        before = reached;
      }
    } finally {
      await db.drop();
    }
  });
});
