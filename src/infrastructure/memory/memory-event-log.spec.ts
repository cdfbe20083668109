import { eventLogContract } from '../../../test/contracts/event-log.contract';
import { MemoryEventLog } from './memory-event-log';

eventLogContract('memory', () => {
  const log = new MemoryEventLog();
  return Promise.resolve({
    log,
    close: () => {
      log.close();
      return Promise.resolve();
    },
  });
});
