import type { CursorState, CursorStore, OutboxEntry, OutboxStore } from '../stores';

/** The few members of IndexedDB that are used; named here so that the SDK needs no DOM types. */
interface Request {
  readonly result: unknown;
  readonly error: Error | null;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface OpenRequest extends Request {
  readonly result: Database;
  onupgradeneeded: (() => void) | null;
}
interface Transaction {
  readonly error: Error | null;
  oncomplete: (() => void) | null;
  onerror: (() => void) | null;
  onabort: (() => void) | null;
  objectStore(name: string): { get(key: string): Request; put(value: unknown, key: string): Request };
}
interface Database {
  createObjectStore(name: string): unknown;
  transaction(store: string, mode: 'readonly' | 'readwrite'): Transaction;
}
interface Factory {
  open(name: string, version: number): OpenRequest;
}

const STORE = 'state';

/** One value per key in a database of the browser. */
class KeyedValues {
  private database: Promise<Database> | undefined;

  constructor(private readonly name: string) {}

  async get(key: string): Promise<unknown> {
    const transaction = (await this.open()).transaction(STORE, 'readonly');
    const request = transaction.objectStore(STORE).get(key);
    return new Promise((resolve, reject) => {
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        reject(request.error ?? new Error('IndexedDB does not read'));
      };
    });
  }

  async put(key: string, value: unknown): Promise<void> {
    const transaction = (await this.open()).transaction(STORE, 'readwrite');
    transaction.objectStore(STORE).put(value, key);
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => {
        resolve();
      };
      transaction.onerror = transaction.onabort = () => {
        reject(transaction.error ?? new Error('IndexedDB does not write'));
      };
    });
  }

  private open(): Promise<Database> {
    this.database ??= new Promise((resolve, reject) => {
      const { indexedDB } = globalThis as unknown as { indexedDB: Factory };
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE);
      };
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        reject(request.error ?? new Error('IndexedDB does not open'));
      };
    });
    return this.database;
  }
}

/** Cursors in IndexedDB, under a name per user and device. */
export class IndexedDbCursorStore implements CursorStore {
  private readonly values: KeyedValues;

  constructor(name: string) {
    this.values = new KeyedValues(name);
  }

  async load(): Promise<CursorState> {
    return ((await this.values.get('cursors')) ?? { epoch: undefined, cursors: {} }) as CursorState;
  }

  save(state: CursorState): Promise<void> {
    return this.values.put('cursors', state);
  }
}

/** Unsent messages in IndexedDB, under a name per user and device. */
export class IndexedDbOutboxStore implements OutboxStore {
  private readonly values: KeyedValues;

  constructor(name: string) {
    this.values = new KeyedValues(name);
  }

  async load(): Promise<readonly OutboxEntry[]> {
    return ((await this.values.get('outbox')) ?? []) as readonly OutboxEntry[];
  }

  save(entries: readonly OutboxEntry[]): Promise<void> {
    return this.values.put('outbox', entries);
  }
}
