/**
 * The language of projections, written in itself: it runs before a query, inside the same sandbox, so that no
 * function of this process is ever in a query's reach. Only JSON goes in and comes out.
 */
export const PRELUDE = `
(() => {
  let source;
  let handlers = {};
  let partitioner = () => '';
  const steps = [];
  let states = new Map();
  let outputs = [];
  const chain = {};
  const from = (kind, names) => {
    if (source !== undefined) throw new Error('A query has one source.');
    source = { kind, names: names.flat().map(String) };
    return chain;
  };
  chain.when = (given) => { handlers = given; return chain; };
  chain.foreachStream = () => { partitioner = (event) => event.streamId; return chain; };
  chain.partitionBy = (choose) => { partitioner = choose; return chain; };
  chain.filterBy = (keep) => { steps.push((state) => (keep(state) ? state : null)); return chain; };
  chain.transformBy = (change) => { steps.push(change); return chain; };
  chain.outputState = () => chain;
  const text = (value) => (value === undefined ? undefined : JSON.stringify(value));
  const write = (output) => {
    if (outputs.length >= 1000) throw new Error('One event makes at most 1,000 others.');
    outputs.push({ ...output, stream: String(output.stream) });
  };
  Object.assign(globalThis, {
    fromAll: () => from('all', []),
    fromStream: (...names) => from('streams', names),
    fromStreams: (...names) => from('streams', names),
    fromCategory: (...names) => from('categories', names),
    fromCategories: (...names) => from('categories', names),
    options: () => undefined,
    log: () => undefined,
    emit: (stream, type, data, metadata) => {
      write({ stream, type: String(type), isJson: true, data: text(data) ?? '', metadata: text(metadata) });
    },
    linkTo: (stream, event, metadata) => {
      const data = event.sequenceNumber + '@' + event.streamId;
      write({ stream, type: '$>', isJson: false, data, metadata: text(metadata) });
    },
    linkStreamTo: (stream, linked, metadata) => {
      write({ stream, type: '$@', isJson: false, data: String(linked), metadata: text(metadata) });
    },
    copyTo: (stream, event, metadata) => {
      write({ stream, type: event.eventType, isJson: true, data: text(event.data) ?? '', metadata: text(metadata) });
    },
  });
  const stateOf = (partition) => {
    if (!states.has(partition)) states.set(partition, handlers.$init ? handlers.$init() : {});
    return states.get(partition);
  };
  return {
    define: () => JSON.stringify(source ?? null),
    handle: (json) => {
      const event = JSON.parse(json);
      outputs = [];
      const partition = partitioner(event);
      if (partition === undefined || partition === null) return '[]';
      const own = Object.hasOwn(handlers, event.eventType) ? handlers[event.eventType] : undefined;
      if (handlers.$any === undefined && own === undefined) return '[]';
      event.partition = String(partition);
      let state = stateOf(event.partition);
      for (const handler of [handlers.$any, own]) {
        if (handler === undefined) continue;
        const next = handler(state, event);
        if (next !== undefined) state = next;
      }
      states.set(event.partition, state);
      return JSON.stringify(outputs);
    },
    states: () => JSON.stringify([...states]),
    restore: (json) => { states = new Map(JSON.parse(json)); return ''; },
    state: (partition) => {
      if (!states.has(partition)) return '';
      return JSON.stringify(steps.reduce((state, step) => (state === null ? null : step(state)), states.get(partition)) ?? null);
    },
  };
})()
`;
