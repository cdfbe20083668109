import { acquireInstanceLock, InstanceRunning } from '../../embedded/instance-lock';

/** Tries for the lock when told to, says how it went, and holds it until it is ended. */
process.on('message', (dataDir: string) => {
  acquireInstanceLock(dataDir).then(
    () => process.send?.({ outcome: 'held' }),
    (error: unknown) => {
      if (!(error instanceof InstanceRunning)) throw error;
      process.send?.({ outcome: 'refused', pid: error.pid, message: error.message });
    },
  );
});
process.send?.({ outcome: 'ready' });
