import { resolve } from 'node:path';
import { ProgressBar } from '../progress-bar';
import { copyLog } from './copy';
import { EngineSide } from './engine-side';
import { ServerSide } from './server-side';
import type { Side } from './side';
import { verifyCopy } from './verify-copy';

const URL_SCHEME = /^(esdb|kurrentdb)(\+discover)?:\/\//;

const openSide = async (place: string): Promise<Side> =>
  URL_SCHEME.test(place) ? new ServerSide(place) : EngineSide.open(resolve(place));

/** @returns whether the target holds exactly what the source does. @throws whatever the sides throw */
export async function runCopy(
  places: { readonly from: string; readonly to: string },
  say: (line: string) => void,
): Promise<boolean> {
  const source = await openSide(places.from);
  try {
    const target = await openSide(places.to);
    try {
      return await copyAndVerify(source, target, say);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** @returns whether the target holds exactly what the source does. @throws whatever the sides throw */
export async function copyAndVerify(
  source: Side,
  target: Side,
  say: (line: string) => void,
): Promise<boolean> {
  const { until, events } = await withBar('copying  ', source, (onProgress) =>
    copyLog(source, target, onProgress),
  );
  say(`copied ${events} events from ${source.place} to ${target.place}`);
  const verdict = await withBar('verifying', target, (onProgress) =>
    verifyCopy(source, target, { until, onProgress }),
  );
  for (const difference of verdict.differences) say(`differs: ${difference}`);
  const { streams, chains, differenceCount } = verdict;
  say(
    `verified ${verdict.events} events of ${streams} streams by SHA-256, ${chains} audit chains: ` +
      `${differenceCount} differences`,
  );
  return differenceCount === 0;
}

async function withBar<T>(
  what: string,
  side: Side,
  work: (onProgress: (position: bigint, events: number) => void) => Promise<T>,
): Promise<T> {
  const bar = new ProgressBar(what, Number(await side.head()) + 1);
  let whole = false;
  try {
    const done = await work((position, events) => {
      bar.at(Number(position) + 1, events);
    });
    whole = true;
    return done;
  } finally {
    bar.end(whole);
  }
}
