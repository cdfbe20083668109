export interface RedisPlace {
  readonly host: string;
  readonly port: number;
}

/** What `REDIS_URL` says. Of several places, each is a node of one Redis Cluster. */
export interface RedisAddress {
  readonly kind: 'alone' | 'cluster';
  readonly places: readonly [RedisPlace, ...RedisPlace[]];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
  /** 0 in a cluster, which has no others. */
  readonly database: number;
}

const PORT = 6_379;
/** A few nodes tell of all others; a longer list is a mistake. */
export const REDIS_PLACES_MAX = 32;
const SCHEME = /^(redis|rediss)(\+cluster)?:\/\//;

/**
 * `redis://…` (`rediss://` over TLS): one server. Several of them with commas between, or
 * `redis+cluster://host:port,host:port`: nodes of a Redis Cluster, with the user and password of the first.
 * @throws Error with the end of a sentence that begins with the variable's name
 */
export function parseRedisUrl(text: string): RedisAddress {
  const scheme = SCHEME.exec(text);
  if (scheme === null) {
    throw new Error(
      'must be a URL that begins with redis://, rediss://, redis+cluster:// or rediss+cluster://',
    );
  }
  const [whole, protocol = '', cluster] = scheme;
  const [first = '', ...others] = text.slice(whole.length).split(',');
  const url = urlOf(`${protocol}://${first}`);
  const rest = others.map((one) => {
    const stripped = one.trim();
    const own = SCHEME.exec(stripped);
    if (own !== null && own[1] !== protocol) throw new Error('must name nodes of one scheme');
    return placeOf(urlOf(own === null ? `${protocol}://${stripped}` : stripped));
  });
  if (rest.length >= REDIS_PLACES_MAX) throw new Error(`must name at most ${REDIS_PLACES_MAX} nodes`);
  const isCluster = cluster !== undefined || rest.length > 0;
  const database = Number(/^\/(\d+)$/.exec(url.pathname)?.[1] ?? 0);
  if (isCluster && database !== 0) throw new Error('must name no database: a Redis Cluster has one');
  return {
    kind: isCluster ? 'cluster' : 'alone',
    places: [placeOf(url), ...rest],
    username: url.username === '' ? undefined : decodeURIComponent(url.username),
    password: url.password === '' ? undefined : decodeURIComponent(url.password),
    tls: protocol === 'rediss',
    database,
  };
}

/** For people: hosts and ports, never the password. */
export const placesOf = ({ places }: RedisAddress): string =>
  places.map(({ host, port }) => `${host}:${port}`).join(', ');

function urlOf(text: string): URL {
  if (!URL.canParse(text)) throw new Error('must be a URL, or several with commas between them');
  return new URL(text);
}

function placeOf({ hostname, port }: URL): RedisPlace {
  if (hostname === '') throw new Error('must name a host');
  // An IPv6 address stands in brackets in a URL, and nowhere else.
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? PORT : Number(port) };
}
