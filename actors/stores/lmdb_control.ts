/**
 * The control store in LMDB: for one machine. Opened by every thread of the system, and read by other processes.
 * Every change is one synced transaction, so a term is never drawn twice, whatever dies.
 */

import { type Database, open, type RootDatabase } from "lmdb";
import { hasCode, NanoError } from "../../src/index.ts";
import type { ControlRecord, ControlStore } from "../control_store.ts";
import { checkFormat, controlFormat } from "./format.ts";
import { makeEnvironment } from "./lmdb_file.ts";

interface Stored {
  readonly value: unknown;
  readonly revision: number;
}

/** A few thousand small records. */
const mapBytes = 256 * 1024 ** 2;

const databases = 4;

/** Errors: `unavailable`; `config` for another format, and then nothing is changed. */
export function openLmdbControl(path: string, options: { readonly readOnly?: boolean } = {}): ControlStore {
  try {
    const readOnly = options.readOnly === true;
    if (!readOnly) makeEnvironment(path, { mapSize: mapBytes, maxDbs: databases });
    // Without overlapping syncs a transaction is on the disk when it returns.
    const root = open({ path, mapSize: mapBytes, maxDbs: databases, readOnly, overlappingSync: false });
    return new LmdbControl(root, path, readOnly);
  } catch (error) {
    if (hasCode(error, "config")) throw error;
    throw unavailable(path, error, { path });
  }
}

class LmdbControl implements ControlStore {
  readonly #root: RootDatabase;
  readonly #records: Database<Stored, string>;
  readonly #counters: Database<number, string>;

  readonly #readOnly: boolean;

  constructor(root: RootDatabase, path: string, readOnly: boolean) {
    this.#root = root;
    this.#readOnly = readOnly;
    this.#records = root.openDB<Stored, string>({ name: "records", encoding: "msgpack" });
    this.#counters = root.openDB<number, string>({ name: "counters", encoding: "msgpack" });
    this.#checkFormat(path);
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
  }

  #checkFormat(path: string): void {
    const found = this.#counters.get("format");
    try {
      checkFormat(`the control store ${path}`, found, controlFormat);
    } catch (error) {
      // Nothing of it is under way yet.
      void this.#root.close();
      throw error;
    }
    if (found !== undefined || this.#readOnly) return;
    this.#root.transactionSync(() => this.#counters.putSync("format", controlFormat));
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
