/**
 * The file of an LMDB environment, made so that a loss of power leaves it whole or not there. LMDB itself neither syncs
 * the pages that it begins a file with before the first commit, nor the folder that has the file's entry.
 */

import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { open } from "lmdb";
import { lmdbFile } from "./data_format.ts";

export function hasEnvironment(path: string): boolean {
  return existsSync(join(path, lmdbFile.name));
}

/**
 * Makes the folder and an empty environment in it where there is none, and syncs what leads there. Several threads and
 * processes may do so at once. Errors: those of the system and of LMDB.
 */
export function makeEnvironment(
  path: string,
  options: { readonly mapSize: number; readonly maxDbs: number },
): void {
  mkdirSync(path, { recursive: true });
  if (!hasEnvironment(path)) {
    // What a death leaves of it here is empty, and nobody reads it.
    const made = mkdtempSync(join(path, "new-"));
    // Nothing is written, so it is closed at once.
    void open({ path: made, ...options }).close();
    sync(join(made, lmdbFile.name));
    link(join(made, lmdbFile.name), join(path, lmdbFile.name));
    rmSync(made, { recursive: true });
  }
  syncEntries(path);
}

/** Never over an environment that another one made meanwhile. */
function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/**
 * The folder's entries and those of all folders above: whoever made them may have died before they were durable. A
 * folder that may not be read is passed over: it is not ours.
 */
function syncEntries(path: string): void {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      sync(folder);
    } catch (error) {
      if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    }
    if (folder === dirname(folder)) return;
  }
}

function sync(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
