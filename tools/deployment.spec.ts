import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import { validate } from 'dockerfile-utils';
import { NginxParser } from 'nginx-conf';
import { parse } from 'yaml';
import { SETTINGS } from '../src/config/settings';
import { readCompose, readImage, readText, ROOT, type Service } from '../test/support/deployment';

const compose = readCompose();
const services = Object.entries(compose.services);
const OURS = services.filter(([, { image }]) => image?.startsWith('parley:'));

/**
 * What the compose file uses of the options of EventStoreDB 23.10, from its reference. The passwords are read from
 * the environment alone.
 */
const EVENTSTORE_OPTIONS: ReadonlySet<string> = new Set([
  'EVENTSTORE_CLUSTER_SIZE',
  'EVENTSTORE_DISCOVER_VIA_DNS',
  'EVENTSTORE_GOSSIP_SEED',
  'EVENTSTORE_INSECURE',
  'EVENTSTORE_NODE_IP',
  'EVENTSTORE_REPLICATION_IP',
  'EVENTSTORE_NODE_HOST_ADVERTISE_AS',
  'EVENTSTORE_REPLICATION_HOST_ADVERTISE_AS',
  'EVENTSTORE_TRUSTED_ROOT_CERTIFICATES_PATH',
  'EVENTSTORE_CERTIFICATE_FILE',
  'EVENTSTORE_CERTIFICATE_PRIVATE_KEY_FILE',
  'EVENTSTORE_DEFAULT_ADMIN_PASSWORD',
  'EVENTSTORE_DEFAULT_OPS_PASSWORD',
]);

describe('docker-compose.yml', () => {
  it('fits the published schema of Compose', () => {
    const { $schema: _dialect, ...schema } = JSON.parse(
      readText('node_modules', 'dclint', 'schemas', 'compose.schema.json'),
    ) as Record<string, unknown>;
    const check = new Ajv({ strict: false, validateFormats: false, allErrors: true }).compile(schema);
    check(compose);
    expect(check.errors).toBeNull();
  });

  it('has the servers and the nodes of a whole installation', () => {
    expect(services.map(([name]) => name).sort()).toEqual(
      [
        ...['balancer', 'gateway-1', 'gateway-2', 'projector', 'worker', 'relay', 'postgres', 'redis'],
        ...[
          'eventstore',
          'eventstore-1',
          'eventstore-2',
          'eventstore-3',
          'eventstore-setup',
          'prometheus',
          'grafana',
        ],
      ].sort(),
    );
    expect(OURS.map(([, { environment }]) => environment?.['ROLES'])).toEqual([
      'gateway',
      'gateway',
      'projector',
      'worker',
      'relay',
    ]);
    expect(compose.services['relay']?.profiles).toEqual(['relay']);
    const inProfile = services
      .filter(([, { profiles }]) => profiles?.includes('cluster'))
      .map(([name]) => name);
    expect(inProfile).toEqual(['eventstore-setup', 'eventstore-1', 'eventstore-2', 'eventstore-3']);
  });

  it.each(services)('bounds %s in memory, pins its image, and asks it how it is', (name, service) => {
    expect(service.mem_limit).toMatch(/^\d+[mg]$/);
    expect(service.image).toMatch(/:(v?\d+\.\d+[\w.-]*|local)$/);
    // Ours bring their check in the image; what runs once and ends has none.
    if (!service.image?.startsWith('parley:') && name !== 'eventstore-setup') {
      expect(service.healthcheck).toBeDefined();
    }
  });

  it('publishes nothing but the balancer, and Grafana through it for this machine alone', () => {
    const published = services.filter(([, { ports }]) => ports !== undefined).map(([name]) => name);
    expect(published).toEqual(['balancer']);
    expect(compose.services['balancer']?.ports).toEqual(['8080:8080', '127.0.0.1:8081:8081']);
    expect(compose.networks['inside']?.internal).toBe(true);
    const others = services.filter(([name]) => !['balancer', 'eventstore-setup'].includes(name));
    for (const [name, { networks }] of others) expect([name, networks]).toEqual([name, ['inside']]);
  });

  it.each(OURS)('runs %s read only, with secrets by file, and settings that exist', (_name, service) => {
    expect(service.read_only).toBe(true);
    const known = Object.values(SETTINGS).flatMap((setting) =>
      'secret' in setting ? [setting.name, `${setting.name}_FILE`] : [setting.name],
    );
    for (const [name, value] of Object.entries(service.environment ?? {})) {
      expect(known).toContain(name);
      if (!name.endsWith('_FILE')) continue;
      expect(service.secrets).toContain(value.replace('/run/secrets/', ''));
    }
  });

  it('mounts only secrets, volumes and files that there are, and made secrets stay out of the repository', () => {
    for (const [, service] of services) {
      for (const name of service.secrets ?? []) expect(Object.keys(compose.secrets)).toContain(name);
      for (const volume of service.volumes ?? []) expectSource(volume);
    }
    const made = readText('deploy', 'make-secrets.sh');
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      expect(file).toBe(`./deploy/secrets/${name}`);
      expect(made).toContain(`keep ${name} `);
    }
    for (const ignored of ['.gitignore', '.dockerignore'])
      expect(readText(ignored)).toContain('deploy/secrets');
  });

  it('starts EventStoreDB with options that it has, one node and three', () => {
    const stores = services.filter(([, { image }]) => image?.startsWith('eventstore/eventstore:'));
    expect(stores.length).toBe(4);
    for (const [, { environment }] of stores) {
      const unknown = Object.keys(environment ?? {}).filter((name) => !EVENTSTORE_OPTIONS.has(name));
      expect(unknown).toEqual([]);
    }
  });

  it('has a cluster of EventStoreDB whose nodes agree on each other, and on what the set-up makes', () => {
    const nodes = services.filter(([, { profiles, image }]) =>
      Boolean(profiles?.includes('cluster') && image?.startsWith('eventstore/eventstore:')),
    );
    const setUp = compose.services['eventstore-setup']?.command?.join(' ') ?? '';
    const made = /for n in ([\d ]+);/.exec(setUp)?.[1]?.trim().split(' ') ?? [];
    expect(made.map((n) => `eventstore-${n}`)).toEqual(nodes.map(([name]) => name));
    for (const [n, [name, { environment = {}, volumes = [] }]] of nodes.entries()) {
      const others = nodes.filter(([other]) => other !== name).map(([other]) => `${other}:2113`);
      expect(environment).toMatchObject({
        EVENTSTORE_CLUSTER_SIZE: String(nodes.length),
        EVENTSTORE_GOSSIP_SEED: others.join(','),
        EVENTSTORE_NODE_HOST_ADVERTISE_AS: name,
        EVENTSTORE_REPLICATION_HOST_ADVERTISE_AS: name,
        EVENTSTORE_CERTIFICATE_FILE: `/etc/eventstore/certs/node${made[n] ?? ''}/node.crt`,
        EVENTSTORE_CERTIFICATE_PRIVATE_KEY_FILE: `/etc/eventstore/certs/node${made[n] ?? ''}/node.key`,
      });
      // Each has data of its own, and the certificates of the set-up.
      expect(volumes).toEqual([
        `${name}-data:/var/lib/eventstore`,
        'eventstore-certs:/etc/eventstore/certs:ro',
      ]);
    }
  });

  it('keeps the keys of that cluster from everybody but its nodes', () => {
    const withKeys = services.filter(([, { volumes = [] }]) =>
      volumes.some((volume) => volume.startsWith('eventstore-certs:')),
    );
    const names = withKeys.map(([name]) => name).sort();
    expect(names).toEqual(['eventstore-1', 'eventstore-2', 'eventstore-3', 'eventstore-setup']);
    const setUp = compose.services['eventstore-setup']?.command?.join(' ') ?? '';
    for (const step of [
      'chmod 0600 ca/ca.key',
      'chmod 0400 node?/node.key',
      'chown 1000:1000 node?/node.key',
    ]) {
      expect(setUp).toContain(step);
    }
  });

  function expectSource(volume: string): void {
    const source = volume.split(':')[0] ?? '';
    if (source.startsWith('./')) expect([source, existsSync(join(ROOT, source))]).toEqual([source, true]);
    else expect(Object.keys(compose.volumes)).toContain(source);
  }
});

describe('Dockerfile', () => {
  it('has no fault that its grammar knows', () => {
    expect(validate(readText('Dockerfile'))).toEqual([]);
  });

  it('runs node itself, as nobody special, and says how to ask it how it is', () => {
    const { command, healthcheck, user } = readImage();
    expect(command[0]).toBe('node');
    expect(healthcheck[0]).toBe('node');
    expect(user).toBe('node');
  });

  it('has the stages that Compose and the documents build', () => {
    const text = readText('Dockerfile');
    const targets = OURS.map(([, { build }]: [string, Service]) => build?.target);
    for (const target of [...targets, 'embedded'])
      expect(text).toMatch(new RegExp(`^FROM .* AS ${target}$`, 'm'));
  });
});

interface Directive {
  readonly name: string;
  readonly value: string;
  readonly children: readonly Directive[] | null;
}

describe('deploy/', () => {
  it('has a configuration for the balancer that nginx can parse, for gateways that there are', () => {
    let root: Directive | undefined;
    new NginxParser().parse(readText('deploy', 'nginx', 'nginx.conf'), (error, tree) => {
      if (error !== null) throw error;
      root = tree;
    });
    const all = flat(root as Directive);
    const upstreams = all.filter(({ name, value }) => name === 'server' && value.includes(':3000'));
    const gateways = OURS.filter(([, { environment }]) => environment?.['ROLES'] === 'gateway');
    expect(upstreams.map(({ value }) => value.split(':')[0])).toEqual(gateways.map(([name]) => name));
    const ws = all.find(({ name, value }) => name === 'location' && value === '= /ws');
    const inside = Object.fromEntries(flat(ws as Directive).map(({ name, value }) => [name, value]));
    // Gateways ping; the balancer must be more patient than they are.
    expect(Number.parseInt(inside['proxy_read_timeout'] ?? '', 10)).toBeGreaterThan(
      (2 * Number(SETTINGS.heartbeatMs.fallback)) / 1_000,
    );
    expect(inside['proxy_buffering']).toBe('off');
    // Headers set in a location replace all that are set around it: nginx inherits all of them or none.
    const toGateways = all.filter(({ name, children }) =>
      Boolean(name === 'location' && children?.some(({ value }) => value === 'http://gateways')),
    );
    expect(toGateways.length).toBe(2);
    for (const { children } of toGateways) {
      const headers = (children ?? []).filter(({ name }) => name === 'proxy_set_header');
      expect(headers.map(({ value }) => value)).toEqual(
        expect.arrayContaining(['Host $host', 'X-Forwarded-For $remote_addr', 'X-Forwarded-Proto $scheme']),
      );
    }
    // A gateway says 503 of a store that is away, too: only for sockets does it mean that the gateway itself goes.
    const retries = all.filter(({ name }) => name === 'proxy_next_upstream').map(({ value }) => value);
    expect(inside['proxy_next_upstream']).toContain('http_503');
    expect(retries.filter((value) => value.includes('http_503')).length).toBe(1);
    expect(all.some(({ name, value }) => name === 'location' && value === '= /metrics')).toBe(true);
  });

  it('scrapes every node of ours, and provisions what Compose mounts', () => {
    const { scrape_configs } = parse(readText('deploy', 'prometheus', 'prometheus.yml')) as {
      scrape_configs: {
        job_name: string;
        static_configs: { targets: string[] }[];
        dns_sd_configs?: { names: string[]; port: number }[];
      }[];
    };
    const always = OURS.filter(([, { profiles }]) => profiles === undefined).map(([name]) => name);
    const inProfiles = OURS.map(([name]) => name).filter((name) => !always.includes(name));
    const parley = scrape_configs.find(({ job_name }) => job_name === 'parley');
    expect(parley?.static_configs[0]?.targets).toEqual(always.map((name) => `${name}:3000`));
    expect(parley?.dns_sd_configs?.[0]).toMatchObject({ names: inProfiles, port: 3000 });
    const provider = readText('deploy', 'grafana', 'provisioning', 'dashboards', 'parley.yml');
    expect(provider).toContain('/etc/grafana/dashboards');
  });
});

const flat = (directive: Directive): readonly Directive[] => [
  directive,
  ...(directive.children ?? []).flatMap(flat),
];
