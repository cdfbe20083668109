import { Worker } from 'node:worker_threads';
import type { RecordedEvent } from '../../engine/record';
import { LINK_TYPE } from '../links';
import { ProjectionFault, type Handled, type Handler, type Output } from './definition';
import { PRELUDE } from './prelude';
import { WORKER } from './script-worker';

/** Of one projection: its program, its states and what it works on. */
const MEMORY_BYTES_MAX = 64 * 1_048_576;
const STACK_BYTES_MAX = 256 * 1_024;
/** Of the thread's own JavaScript, beside the program's. */
const THREAD_HEAP_MB_MAX = 64;
/** For one event, as in EventStoreDB; whoever takes longer is stopped for good. */
const EVENT_MS_MAX = 250;
/** For one question to the thread: what no interrupt reaches ends with it. */
const ANSWER_MS_MAX = 10_000;
/** After so long the thread answers with what it has: a page of slow events must not look like one that hangs. */
const ANSWER_DUE_MS = 2_000;
export const QUERY_BYTES_MAX = 65_536;

type Entry = 'load' | 'handle' | 'states' | 'restore' | 'state';

/** Which events a query wants. */
interface Source {
  readonly kind: 'all' | 'streams' | 'categories';
  readonly names: readonly string[];
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly fault?: string;
}

interface ScriptLimits {
  readonly answerMsMax: number;
  readonly answerDueMs: number;
}

interface Question {
  answered(reply: Reply): void;
}

/**
 * A query in JavaScript, in an interpreter of its own inside WebAssembly, in a thread of its own: it has a
 * share of memory and time, nothing of this process, its files or its network, and holds up nobody.
 *
 * @param states what {@link Handler.states} gave before, when it goes on
 * @param limits in ms; the defaults unless told
 * @throws ProjectionFault when the query is none
 */
export async function scriptHandler(
  query: string,
  states: string | undefined,
  limits: Partial<ScriptLimits> = {},
): Promise<Handler> {
  const script = new Script({ answerMsMax: ANSWER_MS_MAX, answerDueMs: ANSWER_DUE_MS, ...limits });
  try {
    await script.load(query);
    if (states !== undefined) await script.ask('restore', states);
    return script;
  } catch (error) {
    await script.close();
    throw error;
  }
}

class Script implements Handler {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Question>();
  private source: Source = { kind: 'all', names: [] };
  private asked = 0;
  private over: string | undefined;

  constructor(private readonly limits: ScriptLimits) {
    this.worker = new Worker(WORKER, {
      eval: true,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MB_MAX },
      workerData: {
        core: require.resolve('quickjs-emscripten-core'),
        variant: require.resolve('@jitl/quickjs-singlefile-cjs-release-sync'),
        prelude: PRELUDE,
        memoryBytesMax: MEMORY_BYTES_MAX,
        stackBytesMax: STACK_BYTES_MAX,
        eventMsMax: EVENT_MS_MAX,
        answerDueMs: limits.answerDueMs,
      },
    });
    this.worker.on('message', (reply: Reply) => {
      this.waiting.get(reply.id)?.answered(reply);
    });
    this.worker.on('error', (error: Error) => {
      this.end(error.message.slice(0, 200));
    });
    this.worker.on('exit', () => {
      this.end('Its thread ended.');
    });
    this.worker.unref();
  }

  async load(query: string): Promise<void> {
    const source = JSON.parse((await this.ask('load', query)) as string) as Source | null;
    if (source === null) {
      throw new ProjectionFault('The query has no source: fromAll, fromStream, fromCategory.');
    }
    this.source = source;
  }

  async handle(events: readonly RecordedEvent[]): Promise<Handled> {
    const wanted = events.filter((event) => this.wants(event));
    if (wanted.length === 0) return { outputs: [], fault: undefined };
    const asked = wanted.map((event) => JSON.stringify(shown(event)));
    const all: (readonly Output[])[] = [];
    let failed: string | undefined;
    while (all.length < asked.length && failed === undefined) {
      const { outputs, fault } = (await this.ask('handle', asked.slice(all.length))) as {
        readonly outputs: readonly (readonly Output[])[];
        readonly fault?: string;
      };
      all.push(...outputs);
      failed = fault;
    }
    return { outputs: all.map((made, n) => ({ event: wanted[n] as RecordedEvent, made })), fault: failed };
  }

  async states(): Promise<string> {
    return (await this.ask('states')) as string;
  }

  async stateOf(partition: string): Promise<string | undefined> {
    const state = (await this.ask('state', partition)) as string;
    return state === '' ? undefined : state;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  /** @throws ProjectionFault */
  async ask(entry: Entry, argument: unknown = ''): Promise<unknown> {
    if (this.over !== undefined) throw new ProjectionFault(this.over);
    const id = ++this.asked;
    return new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.end(`It did not answer in ${this.limits.answerMsMax} ms.`);
        void this.worker.terminate();
      }, this.limits.answerMsMax).unref();
      const answered = ({ answer, fault }: Reply): void => {
        clearTimeout(timer);
        this.waiting.delete(id);
        if (fault === undefined) resolve(answer);
        else reject(new ProjectionFault(fault));
      };
      this.waiting.set(id, { answered });
      this.worker.postMessage({ id, entry, argument });
    });
  }

  private end(reason: string): void {
    this.over ??= reason;
    for (const [id, question] of [...this.waiting]) question.answered({ id, fault: this.over });
  }

  private wants({ stream, type }: RecordedEvent): boolean {
    // Links are what projections write; those who want what they stand for get that itself.
    if (type === LINK_TYPE) return false;
    const { kind, names } = this.source;
    switch (kind) {
      case 'all':
        return true;
      case 'streams':
        return names.includes(stream);
      case 'categories':
        return names.some((name) => stream.startsWith(`${name}-`));
    }
  }
}

/** An event as queries know it. */
function shown(event: RecordedEvent): object {
  const data = event.isJson ? event.dataJson : undefined;
  return {
    isJson: event.isJson,
    data,
    body: data,
    bodyRaw: event.data.toString('utf8'),
    metadata: event.metadataJson,
    metadataRaw: event.metadata.toString('utf8'),
    sequenceNumber: event.revision,
    streamId: event.stream,
    eventType: event.type,
    eventId: event.id,
    created: new Date(event.created).toISOString(),
  };
}
