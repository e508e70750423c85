/**
 * The control store in LMDB: for one machine. Opened by every thread of the system, and read by processes that opened
 * it before. Every change is one synced transaction, so a term is never drawn twice, whatever dies.
 */

import { type Database, open, type RootDatabase } from "lmdb";
import { NanoError } from "../../src/index.ts";
import type { ControlRecord, ControlStore } from "../control_store.ts";
import { checkFormat, checkLmdbFile, formats } from "./data_format.ts";
import { type Held, holdToWrite, openToRead } from "./environment_lock.ts";
import { hasEnvironment, makeEnvironment } from "./lmdb_file.ts";

interface Stored {
  readonly value: unknown;
  readonly revision: number;
}

/** A few thousand small records. */
const mapBytes = 256 * 1024 ** 2;

const databases = 4;

/**
 * Errors: `locked` while another process has it open to write (one that only reads has to open it before that); with
 * nothing written `newer_format`, `unreadable`; `unavailable`.
 */
export function openLmdbControl(path: string, options: { readonly readOnly?: boolean } = {}): ControlStore {
  checkLmdbFile(path);
  try {
    return options.readOnly === true ? openRecordsToRead(path) : openRecordsToWrite(path);
  } catch (error) {
    if (error instanceof NanoError) throw error;
    throw unavailable(path, error, { path });
  }
}

function openRecordsToWrite(path: string): ControlStore {
  const held = holdToWrite(path);
  try {
    makeEnvironment(path, { mapSize: mapBytes, maxDbs: databases });
    return new LmdbControl(openRoot(path, false), held, false);
  } catch (error) {
    held.release();
    throw error;
  }
}

function openRecordsToRead(path: string): ControlStore {
  if (!hasEnvironment(path)) throw new Error("there is no control store");
  const { value: root, ...held } = openToRead(path, () => openRoot(path, true));
  return new LmdbControl(root, held, true);
}

function openRoot(path: string, readOnly: boolean): RootDatabase {
  // Without overlapping syncs a transaction is on the disk when it returns.
  const root = open({ path, mapSize: mapBytes, maxDbs: databases, readOnly, overlappingSync: false });
  checkControlFormat(root, path, readOnly);
  return root;
}

/** Records without a number are new, or older than the number: both are format 1. */
function checkControlFormat(root: RootDatabase, path: string, readOnly: boolean): void {
  // Before the others: opening one that a newer format has no more would make it.
  const counters: Database<number, string> | undefined = root.openDB({
    name: "counters",
    encoding: "msgpack",
  });
  try {
    const found = counters?.get("format");
    checkFormat("the control store", path, found ?? formats.control, formats.control);
    if (found === undefined && !readOnly) counters?.putSync("format", formats.control);
  } catch (error) {
    root.close().catch(() => undefined);
    throw error;
  }
}

class LmdbControl implements ControlStore {
  readonly #root: RootDatabase;
  readonly #records: Database<Stored, string>;
  readonly #counters: Database<number, string>;

  readonly #held: Held;
  readonly #readOnly: boolean;

  constructor(root: RootDatabase, held: Held, readOnly: boolean) {
    this.#root = root;
    this.#held = held;
    this.#readOnly = readOnly;
    this.#records = root.openDB<Stored, string>({ name: "records", encoding: "msgpack" });
    this.#counters = root.openDB<number, string>({ name: "counters", encoding: "msgpack" });
  }

  get(key: string): Promise<ControlRecord | undefined> {
    return this.#guarded(() => {
      this.#root.resetReadTxn();
      const stored = this.#records.get(key);
      return stored === undefined ? undefined : { key, value: stored.value, revision: stored.revision };
    });
  }

  list(prefix: string): Promise<ControlRecord[]> {
    return this.#guarded(() => {
      this.#root.resetReadTxn();
      const found: ControlRecord[] = [];
      for (const { key, value } of this.#records.getRange({ start: prefix })) {
        if (!key.startsWith(prefix)) break;
        found.push({ key, value: value.value, revision: value.revision });
      }
      return found;
    });
  }

  compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined> {
    return this.#changed(() => {
      const revision = this.#records.get(key)?.revision ?? 0;
      if (revision !== expected) return undefined;
      this.#records.putSync(key, { value, revision: revision + 1 });
      return revision + 1;
    });
  }

  nextTerm(): Promise<number> {
    return this.#changed(() => {
      const term = (this.#counters.get("term") ?? 0) + 1;
      this.#counters.putSync("term", term);
      return term;
    });
  }

  async close(): Promise<void> {
    await this.#root.close();
    this.#held.release();
  }

  #changed<T>(change: () => T): Promise<T> {
    return this.#guarded(() => {
      if (this.#readOnly) throw new Error("it was opened for reading only");
      return this.#root.transactionSync(change);
    });
  }

  /** What LMDB throws (a full disk or map, a closed environment) is an operating error here. */
  async #guarded<T>(work: () => T): Promise<T> {
    try {
      return work();
    } catch (error) {
      throw unavailable("the control store", error);
    }
  }
}

function unavailable(
  what: string,
  error: unknown,
  details: Readonly<Record<string, unknown>> = {},
): NanoError {
  const text = error instanceof Error ? error.message : String(error);
  return new NanoError("unavailable", `${what}: ${text}`, details);
}
