import { appendContract } from './event-log/append';
import type { LogFactory, OpenedLog } from './event-log/fixture';
import { readAllContract, readStreamContract } from './event-log/read';
import { subscribeContract } from './event-log/subscribe';

/**
 * What every adapter of the port EventLog does; the only suite of it. An adapter's own spec calls this and
 * adds what is particular to the adapter. `factory` is called before each test, `close` after it (a second
 * time when the test itself closes: it must be safe to repeat).
 */
export function eventLogContract(name: string, factory: LogFactory): void {
  describe(`event log: ${name}`, () => {
    let opened: OpenedLog;
    const current = (): OpenedLog => opened;

    beforeEach(async () => {
      opened = await factory();
    });
    afterEach(async () => {
      await opened.close();
    });

    describe('append', () => {
      appendContract(current);
    });
    describe('readStream', () => {
      readStreamContract(current);
    });
    describe('readAll', () => {
      readAllContract(current);
    });
    describe('subscribe', () => {
      subscribeContract(current);
    });
  });
}
