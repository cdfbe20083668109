import { rateLimitsContract } from '../../../test/contracts/rate-limits.contract';
import { SOCKETS_MAX, socketDirectoryContract } from '../../../test/contracts/socket-directory.contract';
import { Clock } from '../../kernel/clock';
import { asMillis, type Millis } from '../../kernel/ids';
import { MemoryRateLimits } from './memory-rate-limits';
import { MemorySocketDirectory } from './memory-socket-directory';

class TestClock extends Clock {
  time = 1_000_000;
  now(): Millis {
    return asMillis(this.time);
  }
}

const nothing = (): Promise<void> => Promise.resolve();

rateLimitsContract('memory', () => {
  let now = 0;
  const advance = (ms: number): void => {
    now += ms;
  };
  return Promise.resolve({
    rates: new MemoryRateLimits(() => now),
    advance,
    settled: nothing,
    close: nothing,
  });
});

socketDirectoryContract('memory', () => {
  const clock = new TestClock();
  const directory = new MemorySocketDirectory(clock, SOCKETS_MAX);
  const advance = (ms: number): void => {
    clock.time += ms;
  };
  return Promise.resolve({ directory, advance, settled: nothing, close: nothing });
});
