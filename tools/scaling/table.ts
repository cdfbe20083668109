import type { MeasuredCosts } from './measure';
import { fleetFor, type Fleet, type Headroom, type UnitCosts } from './model';
import type { ScalingStep } from './options';

const number = (value: number): string => Math.round(value).toLocaleString('en-US');
const gigabytes = (bytes: number): string =>
  bytes < 1e12 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e12).toFixed(1)} TB`;

const ROWS: readonly (readonly [string, (fleet: Fleet) => string])[] = [
  ['messages/s at the peak', (fleet) => number(fleet.messagesPerSecond)],
  ['events/s at the peak', (fleet) => number(fleet.eventsPerSecond)],
  ['sockets at the peak', (fleet) => number(fleet.sockets)],
  ['gateways, one to spare', (fleet) => `${number(fleet.gateways)} (${fleet.gatewaysBoundBy})`],
  ['event stores (clusters of three)', (fleet) => number(fleet.shards)],
  ['relays', (fleet) => number(fleet.relays)],
  ['projectors, one to spare', (fleet) => number(fleet.projectors)],
  ['PostgreSQL servers', (fleet) => number(fleet.postgresServers)],
  ['log a day, all copies', (fleet) => gigabytes(fleet.logBytesPerDay)],
  ['PostgreSQL a day', (fleet) => gigabytes(fleet.postgresBytesPerDay)],
  [
    'gives way first',
    ({ breaksFirst }) => `${breaksFirst.what}, at ${breaksFirst.atFactor.toFixed(1)} times this load`,
  ],
];

/** The fleets of the steps beside each other, as a table of Markdown. */
export function tableOf(steps: readonly ScalingStep[], costs: UnitCosts, headroom: Headroom): string {
  const fleets = steps.map(({ load }) => fleetFor(load, costs, headroom));
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(['', ...steps.map(({ name }) => name)]),
    line(['---', ...steps.map(() => '---')]),
    ...ROWS.map(([what, of]) => line([what, ...fleets.map(of)])),
  ].join('\n');
}

const digits = (value: number): string => (value < 100 ? value.toFixed(2) : number(value));

/** What was measured here, beside what is calculated with when nothing is. */
export function measuredTableOf(measured: MeasuredCosts, usual: UnitCosts): string {
  const names = Object.keys(measured) as (keyof MeasuredCosts)[];
  return [
    '| cost | measured here | usual |',
    '| --- | --- | --- |',
    ...names.map((name) => `| \`${name}\` | ${digits(measured[name])} | ${digits(usual[name])} |`),
  ].join('\n');
}
