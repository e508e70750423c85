/**
 * The versions of what lies on disk, and how a number that is not known is refused: a newer one by name, with the
 * version that wrote it as the cure, an unreadable one as damage. Nothing is written in either case. The formats are
 * described in docs/reference/data-directory.md.
 */

import { closeSync, fsyncSync, openSync, readFileSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { NanoError } from "../../src/index.ts";

/** What this version reads and writes. */
export const formats = {
  /** The folders and files of a data directory: `format.json`. */
  directory: 1,
  /** A shard's environment: its databases and their keys. Rows have a number of their own (row_codec.ts). */
  store: 1,
  /** The control store's records. */
  control: 1,
} as const;

/** Errors: `newer_format`, `unreadable`; `what` names the thing, `path` says where it is. */
export function checkFormat(what: string, path: string, found: unknown, known: number): void {
  if (found === known) return;
  if (typeof found === "number" && Number.isInteger(found) && found > known) {
    throw newerFormat(what, path, found, known);
  }
  throw unreadable(path, `${what} has no format that any version wrote (${String(found)}, known ${known})`);
}

export function newerFormat(what: string, path: string, found: number, known: number): NanoError {
  const cure = "start the version that wrote it, or a later one";
  const text = `${path}: ${what} has format ${found}, this version knows ${known}; ${cure}`;
  return new NanoError("newer_format", text, { path, found, known, cure });
}

export function unreadable(path: string, why: string): NanoError {
  const cure = "restore it from a backup, or let the other site be promoted";
  return new NanoError("unreadable", `${path}: ${why}; ${cure}`, { path, cure });
}

// --- the directory -----------------------------------------------------------------------------------------------

/** A directory without the file is new, or was made before the file was: both are format 1. */
export function checkDirectoryFormat(directory: string): void {
  const path = formatFile(directory);
  const text = readIfThere(path);
  if (text !== undefined) checkFormat("the data directory", path, formatIn(path, text), formats.directory);
}

/** Durable when it returns; one that stands is left as it is. */
export function recordDirectoryFormat(directory: string): void {
  const path = formatFile(directory);
  if (readIfThere(path) !== undefined) return;
  const unfinished = `${path}.new`;
  synced(unfinished, "w", (file) => writeSync(file, `${JSON.stringify({ format: formats.directory })}\n`));
  renameSync(unfinished, path);
  synced(directory, "r", () => undefined);
}

function formatFile(directory: string): string {
  return join(directory, "format.json");
}

function formatIn(path: string, text: string): unknown {
  try {
    return (JSON.parse(text) as { readonly format?: unknown } | null)?.format;
  } catch {
    throw unreadable(path, "it is no JSON");
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    const text = error instanceof Error ? error.message : String(error);
    throw new NanoError("unavailable", `${path}: ${text}`, { path });
  }
}

function synced(path: string, flags: string, work: (file: number) => void): void {
  const file = openSync(path, flags);
  try {
    work(file);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

// --- LMDB's own file ---------------------------------------------------------------------------------------------

/**
 * mdb.c of the `lmdb` package: the first two pages are meta pages. Each has a header of 24 bytes, then magic, version,
 * and the page size at 48; at 152 the number of the transaction that it is of.
 */
export const lmdbFile = {
  name: "data.mdb",
  magic: 0xbeefc0de,
  version: 2,
  magicAt: 24,
  versionAt: 28,
  pageSizeAt: 48,
  headerBytes: 52,
  transactionAt: 152,
  metaPages: 2,
} as const;

/**
 * Looks at the file before LMDB does: opening one that is no environment ends the process with a signal (measured,
 * lmdb 3.5). Damage behind the two meta pages is not seen here.
 */
export function checkLmdbFile(folder: string): void {
  const path = join(folder, lmdbFile.name);
  const first = readAt(path, 0);
  if (first === undefined || first.byteLength === 0) return; // a new one
  const pageBytes = checkMetaPage(path, first);
  checkMetaPage(path, readAt(path, pageBytes) ?? Buffer.alloc(0));
}

/** Returns the page size. */
function checkMetaPage(path: string, page: Buffer): number {
  if (page.byteLength < lmdbFile.headerBytes || page.readUInt32LE(lmdbFile.magicAt) !== lmdbFile.magic) {
    throw unreadable(path, "it is no LMDB file, or damaged at its beginning");
  }
  checkFormat("the LMDB file", path, page.readUInt16LE(lmdbFile.versionAt), lmdbFile.version);
  return page.readUInt32LE(lmdbFile.pageSizeAt);
}

/** undefined: no such file. */
function readAt(path: string, position: number): Buffer | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return undefined; // LMDB says what is wrong with it
  }
  try {
    const bytes = Buffer.alloc(lmdbFile.headerBytes);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.byteLength, position));
  } finally {
    closeSync(file);
  }
}
