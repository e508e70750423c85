/**
 * A copy of an LMDB environment that another process may be writing: the file is read as any file, so that the lock
 * table, which opening it would change (environment_lock.ts), is left alone.
 */

import { closeSync, copyFileSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { NanoError } from "../../src/index.ts";
import { checkLmdbFile, lmdbFile } from "./data_format.ts";

/** A transaction takes milliseconds, a copy of a small file less. */
const attemptsMax = 100;

/**
 * Writes the environment as it stood after its last transaction into a folder. A transaction's pages stay as they are
 * until the third one after it begins, so a copy that at most one more was committed beside is whole with the meta
 * pages from before it. For environments whose every transaction is synced, such as the control store's.
 * Errors: `newer_format`, `unreadable`; `unavailable` when it is written faster than it can be read; those of the
 * system.
 */
export function copyEnvironment(from: string, to: string): void {
  checkLmdbFile(from);
  const [source, copy] = [join(from, lmdbFile.name), join(to, lmdbFile.name)];
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const before = metaPages(source);
    copyFileSync(source, copy);
    if (latestTransaction(metaPages(source)) > latestTransaction(before) + 1n) continue;
    const file = openSync(copy, "r+");
    try {
      writeSync(file, before, 0, before.byteLength, 0);
    } finally {
      closeSync(file);
    }
    return;
  }
  throw new NanoError("unavailable", `${from} is written faster than it can be copied`, { path: from });
}

/** Read until two readings agree: a page may be written meanwhile. */
function metaPages(path: string): Buffer {
  const file = openSync(path, "r");
  try {
    const pageBytes = readBytes(file, lmdbFile.headerBytes).readUInt32LE(lmdbFile.pageSizeAt);
    for (let last: Buffer = Buffer.alloc(0); ; ) {
      const pages = readBytes(file, lmdbFile.metaPages * pageBytes);
      if (pages.equals(last)) return pages;
      last = pages;
    }
  } finally {
    closeSync(file);
  }
}

function readBytes(file: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, 0);
  return bytes;
}

function latestTransaction(pages: Buffer): bigint {
  const first = pages.readBigUInt64LE(lmdbFile.transactionAt);
  const second = pages.readBigUInt64LE(pages.byteLength / lmdbFile.metaPages + lmdbFile.transactionAt);
  return first > second ? first : second;
}
