import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/config';

type EventStoreConfig = Pick<Config, 'eventStoreUrls' | 'eventStoreStreamPrefix'>;

/**
 * Where specs of whole nodes keep their logs: on the server at EVENTSTORE_URL when the run has one, or in the embedded
 * engine. A log there begins empty, as nobody else uses its prefix; its streams are all that it leaves behind.
 */
export function freshEventStore(): EventStoreConfig {
  const url = process.env['EVENTSTORE_URL'];
  if (url === undefined || url === '')
    return { eventStoreUrls: undefined, eventStoreStreamPrefix: undefined };
  return {
    eventStoreUrls: url.split(/\s+/),
    eventStoreStreamPrefix: `${runPrefix()}_${randomBytes(4).toString('hex')}`,
  };
}

/** The same, for a process of its own. */
export function freshEventStoreEnvironment(): Record<string, string> {
  const { eventStoreUrls, eventStoreStreamPrefix } = freshEventStore();
  if (eventStoreUrls === undefined || eventStoreStreamPrefix === undefined) return {};
  return { EVENTSTORE_URL: eventStoreUrls.join(' '), EVENTSTORE_STREAM_PREFIX: eventStoreStreamPrefix };
}

/** Imports by which a spec opens an engine of its own, whatever EVENTSTORE_URL says. */
const OWN_ENGINE =
  /embedded\/engine\/event-store'|support\/(grpc-door|append-until-killed|append-on-demand|event-store-process)'/;
const SUITES = ['integration', 'e2e', 'chaos'];

/** Why, by the beginning of the spec's name. */
const REASONS: readonly (readonly [string, string])[] = [
  ['embedded-', 'the embedded engine is what it tests'],
  ['grpc-door', "the embedded engine's door is what it tests"],
  ['esdb-event-log', 'the contract runs against the server, and against a door of its own as well'],
  ['event-store-process', 'it kills the server'],
  ['', 'it opens an engine of its own'],
];

function specsOnTheirOwnEngine(): readonly string[] {
  return SUITES.flatMap((suite) => {
    const folder = join(__dirname, '..', suite);
    const specs = readdirSync(folder).filter((name) => name.endsWith('.spec.ts'));
    return specs.filter((name) => OWN_ENGINE.test(readFileSync(join(folder, name), 'utf8')));
  });
}

/** Of streams, with a dot and the stream's own name after it. */
const runPrefix = (): string => `test_${process.env['TEST_POSTGRES_RUN'] ?? 'single'}`;

/** Says at the start of a run what it is about to test against. */
export function announceEventStore(): void {
  const url = process.env['EVENTSTORE_URL'];
  if (url === undefined || url === '') return;
  const place = url.replace(/^[^/]*\/\/([^@/]*@)?/, '').replace(/[/?].*$/s, '');
  const others = specsOnTheirOwnEngine().map((spec) => {
    const why = REASONS.find(([start]) => spec.startsWith(start))?.[1] ?? '';
    return `  ${spec}: ${why}\n`;
  });
  process.stderr.write(
    `\nThe event store under test is ${place}; what the run leaves there are streams named ${runPrefix()}_….\n` +
      `Whole nodes and the contract run on it. These open an embedded engine of their own:\n${others.join('')}`,
  );
}
