import { readdirSync, readFileSync } from 'node:fs';

/** Of `USER_HZ`, which Linux has fixed for programs: /proc counts in hundredths of a second. */
const TICK_US = 10_000;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Of the process and of those of its children that have ended, in microseconds. */
  readonly cpuUs: number;
}

/** CPU time and memory of a process tree, by kind of process. */
export interface Usage {
  /** CPU of the server's own Node process, all threads. */
  readonly nodeUs: number;
  /** Of its main thread, where the event loop runs. */
  readonly mainThreadUs: number;
  /** CPU of Postgres, all of its processes. */
  readonly postgresUs: number;
  /** Resident memory of the Node process, in bytes. */
  readonly nodeBytes: number;
  readonly processes: number;
}

function stat(path: string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    // Gone between the listing and the look.
    return undefined;
  }
  const nameEnd = text.lastIndexOf(')');
  const fields = text.slice(nameEnd + 2).split(' ');
  const at = (n: number): number => Number(fields[n - 3]);
  return {
    pid: Number.parseInt(text, 10),
    parent: at(4),
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    // utime, stime, cutime, cstime.
    cpuUs: (at(14) + at(15) + at(16) + at(17)) * TICK_US,
  };
}

function treeOf(root: number): readonly Stat[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => stat(`/proc/${pid}/stat`))
    .filter((one) => one !== undefined);
  const tree: Stat[] = all.filter(({ pid }) => pid === root);
  for (let n = 0; n < tree.length; n++) {
    tree.push(...all.filter(({ parent }) => parent === tree[n]?.pid));
  }
  return tree;
}

function residentBytes(pid: number): number {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return Number(match?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/** What the process `root` and all that it started have used so far. */
export function usageOf(root: number): Usage {
  const tree = treeOf(root);
  const node = tree.find(({ pid }) => pid === root);
  const postgres = tree.filter(({ pid }) => pid !== root);
  return {
    nodeUs: node?.cpuUs ?? 0,
    mainThreadUs: stat(`/proc/${root}/task/${root}/stat`)?.cpuUs ?? 0,
    postgresUs: postgres.reduce((sum, { cpuUs }) => sum + cpuUs, 0),
    nodeBytes: residentBytes(root),
    processes: tree.length,
  };
}
