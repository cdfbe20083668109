import { EngineError } from '../embedded/engine/errors';
import { InstanceRunning } from '../embedded/instance-lock';
import { ConfigurationError } from './config/load-config';
import { OtherShards } from './infrastructure/event-log/sharded/arrangement';
import { OlderLog } from './infrastructure/postgres/source-log';

/** Exit codes of a start that failed, after sysexits.h; 1 is everything else. */
const EXIT_DATA = 65;
const EXIT_IO = 74;
export const EXIT_CONFIGURATION = 78;

export interface StartFailure {
  /** Why, and what to do about it, for the person who started the program. */
  readonly reason: string;
  readonly exitCode: number;
}

/** undefined: nothing that a person could do something about is known of it, so the whole of it should be shown. */
export function startFailure(error: unknown): StartFailure | undefined {
  if (error instanceof ConfigurationError)
    return {
      reason: `\n${error.sentences.map((sentence) => `  ${sentence}`).join('\n')}`,
      exitCode: EXIT_CONFIGURATION,
    };
  if (error instanceof OtherShards) return { reason: ` ${error.message}.`, exitCode: EXIT_CONFIGURATION };
  if (error instanceof InstanceRunning) return { reason: ` ${error.message}.`, exitCode: 1 };
  if (error instanceof OlderLog) return { reason: ` ${error.message}.`, exitCode: EXIT_DATA };
  if (!(error instanceof EngineError)) return undefined;
  const isData = error.kind === 'corrupt' || error.kind === 'newerFormat';
  return { reason: ` ${error.message}`, exitCode: isData ? EXIT_DATA : EXIT_IO };
}
