import { measureSend } from './measure-send';
import { Metrics } from './metrics';

const STORED = 'parley_sends_acknowledged_total{duplicate="false"}';
const REPEATED = 'parley_sends_acknowledged_total{duplicate="true"}';
const UNAVAILABLE = 'parley_sends_failed_total{code="unavailable"}';
const INTERNAL = 'parley_sends_failed_total{code="internal"}';

describe('measureSend', () => {
  const lines = async (metrics: Metrics): Promise<string[]> =>
    (await metrics.expose()).text.split('\n').filter((line) => /^parley_sends_\w+{/.test(line));

  it.each([
    [{ kind: 'accepted' } as const, [`${STORED} 1`]],
    [{ kind: 'repeated' } as const, [`${REPEATED} 1`]],
    [{ kind: 'unavailable' } as const, [`${UNAVAILABLE} 1`]],
    [{ kind: 'refused', refusal: { code: 'unavailable' } } as const, [`${UNAVAILABLE} 1`]],
    [{ kind: 'refused', refusal: { code: 'not_found' } } as const, []],
  ])('counts %j once, where it belongs', async (outcome, expected) => {
    const metrics = new Metrics();
    const result = { outcome };
    expect(await measureSend(metrics, () => Promise.resolve(result))).toBe(result);
    expect(await lines(metrics)).toEqual(expected);
  });

  it('counts a bug as ours, and lets it pass', async () => {
    const metrics = new Metrics();
    const bug = new Error('a bug');
    await expect(measureSend(metrics, () => Promise.reject(bug))).rejects.toBe(bug);
    expect(await lines(metrics)).toEqual([`${INTERNAL} 1`]);
  });
});
