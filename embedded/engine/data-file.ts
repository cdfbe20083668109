import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from './errors';

/*
 * What LMDB's file looks like (lmdb.h and mdb.c of its third version), as far as it takes to tell a sound one from a
 * damaged one. LMDB maps the file and follows whatever numbers stand in it: a file that was cut short, or in which
 * bits have flipped, ends the process by a signal and without a word. So the file is looked at before it is mapped.
 * Integers are the machine's own, little endian everywhere we run.
 */
const PAGE_HEADER = 24;
const MAGIC = 0xbeefc0de;
const META_BYTES = PAGE_HEADER + 136;
const PAGE_BYTES_MAX = 65_536;
const [BRANCH, LEAF, META] = [0x01, 0x02, 0x08];
const [BIG_DATA, SUB_TREE] = [0x01, 0x02];
const NODE_HEADER = 8;
const TREE_BYTES = 48;
const NO_PAGE = 2n ** 64n - 1n;
/** Deeper than any tree that fits on a disk. */
const DEPTH_MAX = 32;
/** Of each tree, from its end, that a start looks at: all that it is going to read, and some more. */
const TAIL_PAGES_MAX = 2_000;

interface FileState {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly trees: readonly Tree[];
}

interface Tree {
  readonly root: number;
  readonly entries: number;
}

/** What the folder's file holds, by name; the engine's own. */
const DATA_FILE = 'data.mdb';

export const hasDataFile = (folder: string): boolean => {
  const file = join(folder, DATA_FILE);
  return existsSync(file) && statSync(file).size > 0;
};

/** Of the trees: their ends, all of each, or all of those that the records are in and none of the others. */
type Extent = 'ends' | 'everything' | 'records';
/** Trees by name that hold what nothing else tells. */
const RECORDS = ['log', 'meta'];

/**
 * Looks at the file's state and at the ends of its trees, in a time that does not grow with the store, or at every page.
 * @throws EngineError `corrupt`, naming the page
 */
export function checkDataFile(folder: string, extent: Extent): void {
  const file = new DataFile(join(folder, DATA_FILE));
  try {
    file.check(extent);
  } finally {
    file.close();
  }
}

class DataFile {
  private readonly descriptor: number;
  private readonly size: number;
  private pageBytes = 0;
  private pagesLeft = 0;
  private extent: Extent = 'ends';

  constructor(private readonly path: string) {
    this.descriptor = openSync(path, 'r');
    this.size = fstatSync(this.descriptor).size;
  }

  close(): void {
    closeSync(this.descriptor);
  }

  check(extent: Extent): void {
    this.extent = extent;
    const state = this.state();
    this.pageBytes = state.pageBytes;
    const sound = this.size % this.pageBytes === 0;
    if (!sound) throw this.damaged(`it has ${this.size} bytes, which is no whole number of pages`);
    // Pages at the very end that are free need not be in the file; only those that are used must.
    const short = (state.lastPage + 1) * this.pageBytes > this.size;
    const limit = extent !== 'ends' || short ? Infinity : TAIL_PAGES_MAX;
    // The first of the two is of free pages, which reading does not need.
    const trees = extent === 'records' ? state.trees.slice(-1) : state.trees;
    for (const tree of trees) this.walk(tree, limit);
  }

  /** Of the later of the two commits that the file remembers; the other one is there for when that one was torn. */
  private state(): FileState {
    const first = this.meta(0, 0);
    const second = this.meta(first.pageBytes, 1);
    return second.commit > first.commit ? second : first;
  }

  private meta(at: number, n: number): FileState & { readonly commit: bigint } {
    if (this.size < at + META_BYTES) throw this.damaged(`it ends after ${this.size} bytes`);
    const page = this.bytes(at, META_BYTES);
    const pageBytes = page.readUInt32LE(48);
    const commit = page.readBigUInt64LE(152);
    const sound =
      page.readUInt16LE(18) === META &&
      page.readUInt32LE(PAGE_HEADER) === MAGIC &&
      pageBytes >= 512 &&
      pageBytes <= PAGE_BYTES_MAX &&
      (pageBytes & (pageBytes - 1)) === 0 &&
      // Commits take turns.
      commit % 2n === BigInt(n);
    if (!sound) throw this.damaged(`the record of its last commits is unreadable (${n})`);
    const trees = [page.subarray(48, 48 + TREE_BYTES), page.subarray(96, 96 + TREE_BYTES)];
    const lastPage = Number(page.readBigUInt64LE(144));
    return { pageBytes, commit, lastPage, trees: trees.flatMap((tree) => treeOf(tree)) };
  }

  private walk({ root, entries }: Tree, limit: number): void {
    this.pagesLeft = limit;
    const found = this.visit(root, 0, limit);
    // Seen whole: a branch that leads elsewhere hides what it led to, and nothing else would tell.
    if (this.pagesLeft >= 0 && found !== entries) {
      throw this.damaged(`the tree at page ${root} has ${found} of its ${entries} entries`);
    }
  }

  /** From the right, where what was written last is. @returns how many entries there are, as far as it went */
  private visit(number: number, depth: number, limit: number): number {
    if (this.pagesLeft < 0 || --this.pagesLeft < 0) return 0;
    const page = this.page(number);
    const flags = page.readUInt16LE(18);
    const count = page.readUInt16LE(20) / 2;
    const isBranch = (flags & BRANCH) !== 0;
    const sound =
      depth < DEPTH_MAX &&
      isBranch !== ((flags & LEAF) !== 0) &&
      Number.isInteger(count) &&
      count >= (isBranch ? 1 : 0) &&
      PAGE_HEADER + 2 * count <= this.pageBytes;
    if (!sound) throw this.damaged(`page ${number} is no page of a tree`);
    let entries = 0;
    for (let n = count - 1; n >= 0; n--) {
      if (isBranch) entries += this.visit(this.childOf(page, n, number), depth + 1, limit);
      else this.leaf(page, n, number, limit);
    }
    return isBranch ? entries : count;
  }

  private leaf(page: Buffer, n: number, number: number, limit: number): void {
    const at = this.nodeAt(page, n, number);
    const flags = page.readUInt16LE(at + 4);
    const dataAt = at + NODE_HEADER + page.readUInt16LE(at + 6);
    const bytes = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 65_536;
    const kept = (flags & BIG_DATA) !== 0 ? 8 : bytes;
    if (dataAt + kept > page.length) throw this.damaged(`page ${number} has an entry that does not fit`);
    if ((flags & BIG_DATA) !== 0) {
      const from = Number(page.readBigUInt64LE(dataAt));
      const pages = Math.ceil((bytes + PAGE_HEADER) / this.pageBytes);
      if (from + pages > this.size / this.pageBytes) throw this.cutShort(from + pages - 1);
      if (this.page(from).readBigUInt64LE(0) !== BigInt(from))
        throw this.damaged(`page ${from} is not itself`);
    }
    if ((flags & SUB_TREE) === 0) return;
    const name = page.toString('latin1', at + NODE_HEADER, dataAt);
    if (this.extent === 'records' && !RECORDS.some((one) => name.startsWith(one))) return;
    const left = this.pagesLeft;
    for (const tree of treeOf(page.subarray(dataAt, dataAt + TREE_BYTES))) this.walk(tree, limit);
    this.pagesLeft = left;
  }

  private childOf(page: Buffer, n: number, number: number): number {
    const at = this.nodeAt(page, n, number);
    const low = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 65_536;
    return low + page.readUInt16LE(at + 4) * 2 ** 32;
  }

  private nodeAt(page: Buffer, n: number, number: number): number {
    // Counted from behind the header.
    const at = PAGE_HEADER + page.readUInt16LE(PAGE_HEADER + 2 * n);
    const fits = at >= PAGE_HEADER && at + NODE_HEADER <= page.length;
    if (!fits || at + NODE_HEADER + page.readUInt16LE(at + 6) > page.length) {
      throw this.damaged(`page ${number} has an entry that does not fit`);
    }
    return at;
  }

  private page(number: number): Buffer {
    if ((number + 1) * this.pageBytes > this.size) throw this.cutShort(number);
    const page = this.bytes(number * this.pageBytes, this.pageBytes);
    if (page.readBigUInt64LE(0) !== BigInt(number)) throw this.damaged(`page ${number} is not itself`);
    return page;
  }

  private bytes(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const read = readSync(this.descriptor, bytes, 0, length, at);
    if (read < length) throw this.damaged(`it ends after ${at + read} bytes`);
    return bytes;
  }

  private cutShort(page: number): EngineError {
    return this.damaged(`it was cut short: page ${page} is used, and it ends after ${this.size} bytes`);
  }

  private damaged(what: string): EngineError {
    return new EngineError('corrupt', `the event store's file ${this.path} is damaged: ${what}`);
  }
}

function treeOf(bytes: Buffer): readonly Tree[] {
  const root = bytes.readBigUInt64LE(40);
  return root === NO_PAGE ? [] : [{ root: Number(root), entries: Number(bytes.readBigUInt64LE(32)) }];
}
