import { LIVE_PROJECTIONS } from '../../projections/live';
import { history } from '../../projections/history/history.projection';
import { parseCommand } from './arguments';
import { RebuildLine } from './rebuild-line';

describe('npm run projections', () => {
  it.each(['status', 'verify'])('%s takes nothing more', (verb) => {
    expect(parseCommand([verb])).toEqual({ kind: verb });
    expect(parseCommand([verb, 'inbox'])).toBeUndefined();
    expect(parseCommand([verb, '--replace-different'])).toBeUndefined();
  });

  it('rebuild takes one model or all, by name', () => {
    expect(parseCommand(['rebuild', 'history'])).toEqual({
      kind: 'rebuild',
      projections: [history],
      replaceDifferent: false,
    });
    expect(parseCommand(['rebuild', 'all', '--replace-different'])).toEqual({
      kind: 'rebuild',
      projections: LIVE_PROJECTIONS,
      replaceDifferent: true,
    });
  });

  it.each([
    [[]],
    [['rebuild']],
    [['rebuild', 'nothing']],
    [['rebuild', 'inbox', 'history']],
    [['--what']],
    [['swap']],
  ])('makes no sense of %j', (args) => {
    expect(parseCommand(args)).toBeUndefined();
  });

  it('tells how far a rebuild is, how fast and how long still', () => {
    const position = (n: bigint): { commit: bigint; prepare: bigint } => ({ commit: n, prepare: n });
    const text = new RebuildLine('inbox').text(
      { events: 500, position: position(249n), goal: position(999n) },
      10,
    );
    expect(text).toContain('25 % · 500 events · 50/s · 30s left');
    expect(
      new RebuildLine('inbox').text({ events: 0, position: position(-1n), goal: position(-1n) }, 0),
    ).toContain('100 %');
  });

  it('counts what lies in all shards', () => {
    const position = { ...{ commit: 999n, prepare: 999n }, others: [{ commit: 499n, prepare: 499n }] };
    const goal = { ...{ commit: 999n, prepare: 999n }, others: [{ commit: 2_999n, prepare: 2_999n }] };
    const text = new RebuildLine('inbox').text({ events: 1_500, position, goal }, 10);
    expect(text).toContain(' 37 % ');
  });
});
