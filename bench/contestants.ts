import { Floor, type FloorKind } from './floors/floor';
import { Server, type Build, type ServerSetup } from './load/server';
import type { Options } from './options';
import { Ejabberd } from './peers/ejabberd';
import type { Case, Metrics, Surroundings } from './scenario';

/** Somebody who is measured, in turn with the others. */
export interface Contestant {
  readonly name: string;
  /** On a fresh server, which goes with its data; undefined: the case is none for this one. */
  readonly run: (one: Case) => Promise<Metrics | undefined>;
}

interface Stoppable {
  stop(): Promise<void>;
}

const notHere = (): Promise<never> => Promise.reject(new Error('only Parley has this'));

/** Runs `work` with starters that remember what they started, and stops it all afterwards. */
async function stoppingAll<T>(
  work: (starting: <S extends Stoppable>(started: Promise<S>) => Promise<S>) => Promise<T>,
): Promise<T> {
  const running: Stoppable[] = [];
  try {
    return await work(async (started) => {
      const one = await started;
      running.push(one);
      return one;
    });
  } finally {
    for (const one of running) await one.stop();
  }
}

const common = (options: Options): Pick<Surroundings, 'quick' | 'option'> => ({
  quick: options.flag('quick'),
  option: options.value,
});

export const parley = (build: Build, options: Options): Contestant => ({
  name: build.name,
  run: (one) =>
    stoppingAll((starting) => {
      const startServer = (setup?: ServerSetup): Promise<Server> =>
        starting(Server.start(build, options.value('profile'), setup));
      return one.run({ ...common(options), start: () => startServer(), startServer });
    }),
});

export const floor = (kind: FloorKind, options: Options): Contestant => ({
  name: kind,
  run: (one) =>
    one.hasFloor === true
      ? stoppingAll((starting) =>
          one.run({ ...common(options), start: () => starting(Floor.start(kind)), startServer: notHere }),
        )
      : Promise.resolve(undefined),
});

export const ejabberd = (options: Options): Contestant => ({
  name: 'ejabberd',
  run: ({ runXmpp }) =>
    runXmpp === undefined
      ? Promise.resolve(undefined)
      : stoppingAll(async (starting) =>
          runXmpp(await starting(Ejabberd.start()), {
            ...common(options),
            start: notHere,
            startServer: notHere,
          }),
        ),
});
