import { dropDatabasesOfRun } from './postgres';

export default async function stopTestPostgres(): Promise<void> {
  // Our own server goes with its folder; a server that was given to us is left as it was found.
  if (globalThis.stopTestPostgres === undefined) await dropDatabasesOfRun();
  else await globalThis.stopTestPostgres();
}
