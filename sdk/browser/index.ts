export * from '..';
export { IndexedDbCursorStore, IndexedDbOutboxStore } from './indexed-db-stores';
