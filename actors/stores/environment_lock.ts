/**
 * Who may open an LMDB environment, and when.
 *
 * All processes that have one open share a table with the number of its last transaction. Whoever opens it, be it only
 * to read, writes there what it read in the file a moment before: a transaction that another process commits in between
 * is forgotten, and the next one is written over it (`mdb_env_open2` of lmdb 3.5.6; measured: an acknowledged batch was
 * lost once in 150 openings beside 30 commits a second). Nothing reports it. So nobody opens an environment while
 * another process may write it: the writer holds a lock in its folder, and a reader takes that lock while it opens.
 * Who reads on while others write has opened it before them. Within a process LMDB shares what is open, and is safe.
 */

import { resolve } from "node:path";
import { type DirectoryLock, lockDirectory } from "./directory_lock.ts";

/** An environment that somebody has open. Repeating `release` changes nothing. */
export interface Held {
  readonly release: () => void;
}

/** Of this thread, by path. */
interface Opened {
  writers: number;
  readers: number;
  /** There while there are writers. One of another thread of this process stands for all of them. */
  lock: DirectoryLock | undefined;
}

const opened = new Map<string, Opened>();

/** Readers take milliseconds to open; a writer that is about to end takes some more. */
const waitMs = 1_000;

/** For who writes, before it opens; kept until released. Errors: `locked` naming the process that has it open. */
export function holdToWrite(path: string): Held {
  const entry = entryOf(path);
  const cure = "stop it: a store has one process that writes it";
  entry.lock ??= lockDirectory(path, { waitMs, cure });
  return held(path, entry, "writers");
}

/**
 * What `open` returns, while nobody else can write. Errors: `locked` naming the process that may; those of `open`.
 * The release is for what was opened, once it is closed.
 */
export function openToRead<T>(path: string, open: () => T): Held & { readonly value: T } {
  const entry = entryOf(path);
  // What this thread has open is shared, and stays open meanwhile.
  const isOpen = entry.writers + entry.readers > 0;
  const cure =
    "a reader that opens it now could take an acknowledged write from it: open it before that process does, or stop it";
  const lock = isOpen ? undefined : lockDirectory(path, { waitMs, cure });
  try {
    return { value: open(), ...held(path, entry, "readers") };
  } finally {
    lock?.release();
  }
}

function entryOf(path: string): Opened {
  return opened.get(resolve(path)) ?? { writers: 0, readers: 0, lock: undefined };
}

function held(path: string, entry: Opened, as: "writers" | "readers"): Held {
  const key = resolve(path);
  entry[as]++;
  opened.set(key, entry);
  let isHeld = true;
  return {
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      entry[as]--;
      if (entry.writers === 0) {
        entry.lock?.release();
        entry.lock = undefined;
      }
      if (entry.writers + entry.readers === 0) opened.delete(key);
    },
  };
}
