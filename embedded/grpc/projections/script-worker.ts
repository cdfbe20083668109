/**
 * The program of a projection's thread. It is text because it has to run alike whether this module was
 * compiled or not; it takes `{ id, entry, argument }` and answers `{ id, answer }` or `{ id, fault }`.
 *
 * `handle` takes several events, so that few messages carry many: its answer has the outputs of each event up
 * to one on which the program failed, and then why; or up to one after which it had taken its time, to be asked again.
 */
export const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { newQuickJSWASMModuleFromVariant } = require(workerData.core);
const { default: variant } = require(workerData.variant);

const begin = async () => {
  const module = await newQuickJSWASMModuleFromVariant(variant);
  const runtime = module.newRuntime();
  runtime.setMemoryLimit(workerData.memoryBytesMax);
  runtime.setMaxStackSize(workerData.stackBytesMax);
  let until = Infinity;
  runtime.setInterruptHandler(() => performance.now() > until);
  const context = runtime.newContext();
  const settled = (result) => {
    if (result.error === undefined) return result.value;
    const error = context.dump(result.error);
    result.error.dispose();
    throw new Error(String(error?.message ?? error).slice(0, 1024));
  };
  const entries = {};
  const call = (entry, argument) => {
    until = performance.now() + workerData.eventMsMax;
    const given = context.newString(argument);
    const result = context.callFunction(entries[entry], context.undefined, given);
    given.dispose();
    const value = settled(result);
    const answer = context.getString(value);
    value.dispose();
    return answer;
  };
  const load = (query) => {
    const language = settled(context.evalCode(workerData.prelude));
    for (const entry of ['define', 'handle', 'states', 'restore', 'state']) {
      entries[entry] = context.getProp(language, entry);
    }
    until = performance.now() + workerData.eventMsMax;
    settled(context.evalCode(query, 'query.js')).dispose();
    return call('define', '');
  };
  const handle = (events) => {
    const outputs = [];
    const due = performance.now() + workerData.answerDueMs;
    for (const event of events) {
      if (outputs.length > 0 && performance.now() > due) break;
      try {
        outputs.push(JSON.parse(call('handle', event)));
      } catch (error) {
        return { outputs, fault: error.message };
      }
    }
    return { outputs };
  };
  parentPort.on('message', ({ id, entry, argument }) => {
    try {
      const answer =
        entry === 'load' ? load(argument) : entry === 'handle' ? handle(argument) : call(entry, argument);
      parentPort.postMessage({ id, answer });
    } catch (error) {
      parentPort.postMessage({ id, fault: error.message });
    }
  });
};
begin();
`;
