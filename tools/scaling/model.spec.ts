import { readText } from '../../test/support/deployment';
import { parseScalingOptions, STEPS } from './options';
import { fleetFor, HEADROOM, UNIT_COSTS, type Load } from './model';
import { tableOf } from './table';

const load = (dailyUsers: number): Load => ({ ...(STEPS[0] as { load: Load }).load, dailyUsers });
const fleet = (dailyUsers: number) => fleetFor(load(dailyUsers), UNIT_COSTS, HEADROOM);

describe('the fleet for a load', () => {
  it('is the smallest one for a small load, with one of each to spare', () => {
    expect(fleet(1_000)).toMatchObject({
      shards: 1,
      relays: 0,
      gateways: 2,
      projectors: 2,
      postgresServers: 1,
    });
  });

  it('never shrinks when the load grows', () => {
    const sizes = [1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8].map(fleet);
    for (const part of ['shards', 'relays', 'gateways', 'projectors', 'postgresServers'] as const) {
      const counts = sizes.map((size) => size[part]);
      expect(counts).toEqual([...counts].sort((a, b) => a - b));
    }
  });

  it('carries what it is made for: nothing breaks at the load itself, and something does beyond', () => {
    for (const { load: given } of STEPS) {
      const { breaksFirst } = fleetFor(given, UNIT_COSTS, HEADROOM);
      expect(breaksFirst.atFactor).toBeGreaterThanOrEqual(1);
      expect(breaksFirst.atFactor).toBeLessThan(1_000);
    }
  });

  it('takes relays exactly when gateways would spend a quarter of a core on events of others', () => {
    const users =
      ((0.25 * 1e6) /
        UNIT_COSTS.feedCpuMicros /
        UNIT_COSTS.eventsPerMessage /
        load(1).messagesPerUser /
        load(1).peakFactor) *
      86_400;
    expect(fleet(users * 0.99).relays).toBe(0);
    expect(fleet(users * 1.01).relays).toBeGreaterThan(0);
  });

  it('has 2.5 billion messages a day and 10 million sockets at its last step', () => {
    const last = STEPS.at(-1)?.load as Load;
    expect(last.dailyUsers * last.messagesPerUser).toBe(2.5e9);
    expect(last.dailyUsers * last.socketsPerUser).toBe(1e7);
  });
});

describe('npm run scaling', () => {
  it('takes numbers of one’s own, by flag and by file, and refuses names that it does not know', () => {
    const { steps, costs } = parseScalingOptions(
      ['--dailyUsers', '12345', '--socketBytes', '9000'],
      () => '',
    );
    expect(steps).toHaveLength(1);
    expect(steps[0]?.load.dailyUsers).toBe(12_345);
    expect(costs.socketBytes).toBe(9_000);
    const file = parseScalingOptions(['--file', 'mine.json'], () => '{"dailyUsers": 7, "cpu": 0.3}');
    expect([file.steps[0]?.load.dailyUsers, file.headroom.cpu]).toEqual([7, 0.3]);
    expect(() => parseScalingOptions(['--dailyUser', '1'], () => '')).toThrow('dailyUser');
    expect(() => parseScalingOptions(['--dailyUsers', 'many'], () => '')).toThrow('number');
  });

  it('prints the table that docs/scaling.md shows', () => {
    const { steps, costs, headroom } = parseScalingOptions([], () => '');
    expect(readText('docs', 'scaling.md')).toContain(tableOf(steps, costs, headroom));
  });
});
