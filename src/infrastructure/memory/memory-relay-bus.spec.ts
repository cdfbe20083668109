import { setImmediate as turn } from 'node:timers/promises';
import { relayBusContract } from '../../../test/contracts/relay-bus.contract';
import { MemoryRelayBus, MemoryRelayLine } from './memory-relay-bus';

relayBusContract('memory', () => {
  const line = new MemoryRelayLine();
  return Promise.resolve({
    relay: new MemoryRelayBus('relay', line),
    nodes: [new MemoryRelayBus('one', line), new MemoryRelayBus('two', line)],
    settled: () => turn(),
    close: () => Promise.resolve(),
  });
});
