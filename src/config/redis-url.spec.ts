import { parseRedisUrl, placesOf, REDIS_PLACES_MAX } from './redis-url';

const alone = { kind: 'alone', username: undefined, password: undefined, tls: false, database: 0 };

describe('REDIS_URL', () => {
  it.each([
    ['redis://cache', { ...alone, places: [{ host: 'cache', port: 6_379 }] }],
    [
      'rediss://:p%40ss@cache:1/3',
      { ...alone, places: [{ host: 'cache', port: 1 }], password: 'p@ss', tls: true, database: 3 },
    ],
    ['redis://[::1]:7', { ...alone, places: [{ host: '::1', port: 7 }] }],
    ['redis+cluster://one', { ...alone, kind: 'cluster', places: [{ host: 'one', port: 6_379 }] }],
    [
      'redis+cluster://me:secret@one:1,two:2',
      {
        ...alone,
        kind: 'cluster',
        places: [
          { host: 'one', port: 1 },
          { host: 'two', port: 2 },
        ],
        username: 'me',
        password: 'secret',
      },
    ],
    [
      'redis://one:1, redis://two',
      {
        ...alone,
        kind: 'cluster',
        places: [
          { host: 'one', port: 1 },
          { host: 'two', port: 6_379 },
        ],
      },
    ],
  ])('%s', (text, address) => {
    expect(parseRedisUrl(text)).toEqual(address);
  });

  it.each([
    ['http://cache', 'must be a URL that begins with redis://'],
    ['redis://', 'must'],
    ['redis://a,rediss://b', 'must name nodes of one scheme'],
    ['redis+cluster://a/2', 'must name no database'],
    ['redis://a, ', 'must'],
    ['redis://a:99999', 'must be a URL'],
  ])('%s is refused: %s', (text, why) => {
    expect(() => parseRedisUrl(text)).toThrow(why);
  });

  it('has a limit', () => {
    const nodes = Array.from({ length: REDIS_PLACES_MAX }, (_, n) => `node-${n}`);
    expect(parseRedisUrl(`redis+cluster://${nodes.join(',')}`).places.length).toBe(REDIS_PLACES_MAX);
    expect(() => parseRedisUrl(`redis+cluster://${nodes.join(',')},one-more`)).toThrow('at most');
  });

  it('is told to people without its password', () => {
    expect(placesOf(parseRedisUrl('redis+cluster://me:secret@one:1,two:2'))).toBe('one:1, two:2');
  });
});
