/**
 * The LMDB adapter: one environment for each shard. Rows, fences, identity and the reverse index live in it, so that
 * one transaction keeps them together.
 *
 * Only this object writes the environment, one batch at a time: what it reads before a batch is what the batch's
 * transaction would read. Commit and sync run on a native thread (measured: 29,000 rows/s in batches of 5 over 8
 * environments at 0.28 of the JavaScript thread; the same with synchronous transactions blocks it for all of the
 * sync). A thread that has a store open ends by itself or with its process, never from outside.
 */

import { type Database, open, type RootDatabase } from "lmdb";
import { NanoError } from "../../src/index.ts";
import { compareKeys, type Row, type RowKey, type Scope, splitRowKey, type Version } from "../records.ts";
import type { ApplyGroup, ApplyResult, EncodedRow, Identity, ScanRange } from "../store_messages.ts";
import { decideRow, fencedBy, isTooLong } from "./apply_row.ts";
import type { Capabilities, Store, StoreOptions } from "./contract.ts";
import { checkFormat, checkLmdbFile, formats } from "./data_format.ts";
import { type Held, holdToWrite, openToRead } from "./environment_lock.ts";
import { hasEnvironment, makeEnvironment } from "./lmdb_file.ts";
import { decodeRow, encodeRow } from "./row_codec.ts";

/** Address space, not memory: an environment can't grow past it while others have it open. */
const mapBytes = 16 * 1024 ** 3;

const databases = 8;

const separator = "\u0000";
const emptyValue = Buffer.alloc(0);

/** Below every key: a range of LMDB begins at one that is written as any other. */
const firstKey = separator;

/** LMDB's own limit for keys in pages of 4 KiB is 1,978. */
const keyBytesMax = 1_978;

/**
 * Opens the environment for writing and raises its incarnation. Errors: `unavailable` when it can't be opened; `locked`
 * while another process has it; `newer_format`, `unreadable`, with nothing written.
 */
export async function openLmdbStore(options: StoreOptions): Promise<Store> {
  const { path, durability } = options;
  checkLmdbFile(path);
  const held = guarded(path, () => holdToWrite(path));
  try {
    const environment = guarded(path, () => openEnvironment(path, durability === "os"));
    try {
      return new LmdbStore(environment, options, held);
    } catch (error) {
      await environment.root.close();
      throw error;
    }
  } catch (error) {
    held.release();
    throw error;
  }
}

/** What the system or LMDB throws is an operating error. */
function guarded<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof NanoError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new NanoError("unavailable", `${path}: ${why}`, { path });
  }
}

/** Keys are UTF-8, written straight into LMDB's buffers: a Buffer for each would cost as much as the read. */
const utf8Keys = {
  writeKey(key: string, target: Uint8Array, start: number): number {
    if (key.length > keyBytesMax / 3 && Buffer.byteLength(key) > keyBytesMax) {
      throw new NanoError("bad_argument", `a key takes at most ${keyBytesMax} bytes`, { field: "key" });
    }
    return start + Buffer.prototype.utf8Write.call(target, key, start);
  },
  readKey(source: Uint8Array, start: number, end: number): string {
    return Buffer.prototype.utf8Slice.call(source, start, end);
  },
};

const utf8Binary = { encoding: "binary", keyEncoder: utf8Keys } as const;

const packed = { encoding: "msgpack", keyEncoding: "ordered-binary" } as const;

type Meta = Database<string | number, string>;

interface Environment {
  readonly root: RootDatabase<Buffer, string>;
  readonly rows: Database<Buffer, string>;
  readonly index: Database<Buffer, string>;
  readonly fences: Database<number, string>;
  readonly meta: Meta;
}

function openEnvironment(path: string, noSync: boolean): Environment {
  makeEnvironment(path, { mapSize: mapBytes, maxDbs: databases });
  const root = open<Buffer, string>({
    path,
    mapSize: mapBytes,
    maxDbs: databases,
    noSync,
    // A commit is visible before it is synced, and what is synced survives the machine: `flushed` tells when. The
    // next transaction runs meanwhile: 9,800 acknowledged writes/s instead of 5,900 on two cores.
    overlappingSync: !noSync,
    ...utf8Binary,
    cache: false,
  });
  // Before the others: opening one that a newer format has no more would make it.
  const meta = openMeta(root);
  checkStoreFormat(root, meta, path);
  return {
    root,
    rows: openRows(root),
    index: root.openDB<Buffer, string>({ name: "index", ...utf8Binary }),
    fences: root.openDB<number, string>({ name: "fences", ...packed }),
    meta,
  };
}

/** For a database that is not there: it is not made, and undefined. */
const notMade = { create: false } as const;

function openMeta(root: RootDatabase<Buffer, string>, options: { readonly create?: false } = {}): Meta {
  return root.openDB<string | number, string>({ name: "meta", ...packed, ...options });
}

/** An environment without a number is new, or older than the number: both are format 1. */
function checkStoreFormat(root: RootDatabase<Buffer, string>, meta: Meta | undefined, path: string): void {
  try {
    checkFormat("the store", path, meta?.get("format") ?? formats.store, formats.store);
  } catch (error) {
    root.close().catch(() => undefined);
    throw error;
  }
}

function openRows(
  root: RootDatabase<Buffer, string>,
  options: { readonly create?: false } = {},
): Database<Buffer, string> {
  return root.openDB<Buffer, string>({ name: "rows", ...utf8Binary, ...options });
}

class LmdbStore implements Store {
  readonly capabilities: Capabilities;
  readonly #environment: Environment;
  readonly #held: Held;
  readonly #indexed: ReadonlySet<string>;
  readonly #fences = new Map<Scope, number>();
  readonly #identity: Identity;
  #closed = false;
  #ended: Promise<void> | undefined;
  /** The number of the last commit's transaction. */
  #transaction: number | undefined;
  /** Set once a transaction is known to be gone. */
  #lost: NanoError | undefined;
  /** The last call in line, settled or not. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    environment: Environment,
    { durability, indexedBackends, newStoreId }: StoreOptions,
    held: Held,
  ) {
    this.#environment = environment;
    this.#held = held;
    this.#indexed = new Set(indexedBackends);
    this.capabilities = {
      conditionalWrite: true,
      atomicBatch: true,
      orderedScan: true,
      changeFeed: false,
      expiry: true,
      durability: durability === "os" ? "os" : "sync",
    };
    const { root, meta, fences } = environment;
    this.#identity = root.transactionSync(() => {
      const storeId = String(meta.get("storeId") ?? newStoreId);
      const incarnation = Number(meta.get("incarnation") ?? 0) + 1;
      meta.putSync("format", formats.store);
      meta.putSync("storeId", storeId);
      meta.putSync("incarnation", incarnation);
      return { storeId, incarnation };
    });
    for (const { key, value } of fences.getRange()) this.#fences.set(key, value);
    root.on("aftercommit", ({ txnId }: { readonly txnId?: number }) => this.#noteCommit(txnId));
  }

  identity(): Promise<Identity> {
    return this.#serially(() => this.#identity);
  }

  get(keys: readonly RowKey[]): Promise<(Row | undefined)[]> {
    return this.#serially(() => keys.map((key) => readRow(this.#environment.rows, key)));
  }

  apply(groups: readonly ApplyGroup[]): Promise<ApplyResult[][]> {
    return this.#serially(async () => {
      const batch = new Batch(this.#environment, this.#indexed);
      const results = groups.map(({ grants, rows }) => {
        const fenced = fencedBy(grants, (scope) => this.#fences.get(scope) ?? 0);
        return rows.map((row) => fenced ?? batch.apply(row));
      });
      await batch.committed();
      return results;
    });
  }

  fence(scope: Scope, term: number): Promise<number> {
    return this.#serially(async () => {
      const before = this.#fences.get(scope) ?? 0;
      if (term <= before) return before;
      await this.#environment.fences.put(scope, term);
      // Visible is not synced: a fence that a loss of power takes back would let an old owner write again.
      await this.#environment.root.flushed;
      this.#fences.set(scope, term);
      return term;
    });
  }

  fences(scopes: readonly Scope[]): Promise<number[]> {
    return this.#serially(() => scopes.map((scope) => this.#fences.get(scope) ?? 0));
  }

  collect(key: RowKey, version: Version): Promise<boolean> {
    return this.#serially(async () => {
      const { rows } = this.#environment;
      const stored = readRow(rows, key);
      if (stored === undefined || stored.value !== null) return false;
      if (!stored.version.every((part, i) => part === version[i])) return false;
      await rows.remove(key);
      await this.#environment.root.flushed;
      return true;
    });
  }

  scan(range: ScanRange, limit: number): Promise<Row[]> {
    return this.#serially(() => scanRows(this.#environment.rows, range, limit));
  }

  async peekEncoded(range: ScanRange, limit: number): Promise<EncodedRow[]> {
    this.#check();
    return scanEncoded(this.#environment.rows, range, limit);
  }

  async peek(range: ScanRange, limit: number): Promise<Row[]> {
    this.#check();
    return scanRows(this.#environment.rows, range, limit);
  }

  lookup(backend: string, sub: string, limit: number): Promise<string[]> {
    return this.#serially(() => {
      if (!this.#indexed.has(backend))
        throw new NanoError("bad_argument", `${backend} has no index`, { field: "backend" });
      const prefix = `${backend}${separator}${sub}${separator}`;
      const end = `${prefix.slice(0, -1)}\u0001`;
      const found: string[] = [];
      for (const key of this.#environment.index.getKeys({ start: prefix, end, limit })) {
        found.push(key.slice(prefix.length));
      }
      return found;
    });
  }

  /** One transaction, so that no crash leaves a part of an index; it holds the thread until it is synced. */
  rebuildIndex(): Promise<void> {
    return this.#serially(() => {
      const { root, rows, index } = this.#environment;
      root.transactionSync(() => {
        for (const entry of index.getKeys({ start: firstKey })) index.removeSync(entry);
        for (const { key, value } of rows.getRange({ start: firstKey })) {
          const row = decodeRow(key, value);
          const entry = indexEntry(row.key, this.#indexed);
          if (entry !== undefined && row.value !== null) index.putSync(entry, emptyValue);
        }
      });
    });
  }

  /** A commit of this adapter is synced when it returns, unless durability is `os`. */
  sync(): Promise<void> {
    return this.#serially(() => undefined);
  }

  close(): Promise<void> {
    this.#ended ??= this.#last.then(async () => {
      this.#closed = true;
      await this.#environment.root.close();
      this.#held.release();
    });
    return this.#ended;
  }

  /** In the order of the calls, one at a time. Errors: `unavailable`: the outcome is unknown. */
  #serially<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      this.#check();
      try {
        const done = await work();
        if (this.#lost !== undefined) this.#disown(this.#lost);
        return done;
      } catch (error) {
        if (error instanceof NanoError) throw error;
        throw new NanoError("unavailable", `LMDB: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Numbers of 32 bits rise by one with each transaction, and begin anew after the last. */
  #noteCommit(transaction: number | undefined): void {
    if (transaction === undefined) return;
    const isNewer = this.#transaction === undefined || ((transaction - this.#transaction) | 0) > 0;
    if (!isNewer) {
      const text = `the store has lost acknowledged rows: its transaction ${this.#transaction} was written over`;
      const cure = "let nothing but its owner open an LMDB environment while it is written";
      this.#lost = new NanoError("unavailable", `${text}, for another process opened its files; ${cure}`, {
        cure,
      });
    }
    this.#transaction = transaction;
  }

  /** Under its name everybody would trust it. Under another one control refuses it, and its peer may fill it. */
  #disown(lost: NanoError): never {
    const { root, meta } = this.#environment;
    root.transactionSync(() => meta.removeSync("storeId"));
    throw lost;
  }

  #check(): void {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#closed) throw new NanoError("closed", "the store is closed");
  }
}

/** The puts of one transaction, and what rows they leave: a later row of the batch is judged by an earlier one. */
class Batch {
  readonly #environment: Environment;
  readonly #indexed: ReadonlySet<string>;
  readonly #written = new Map<RowKey, Uint8Array>();
  #committed: Promise<unknown> = Promise.resolve();

  constructor(environment: Environment, indexed: ReadonlySet<string>) {
    this.#environment = environment;
    this.#indexed = indexed;
  }

  apply(row: Row): ApplyResult {
    const encoded = encodeRow(row);
    const refused = decideRow(undefined, row, encoded);
    if (refused.status === "rejected") return refused;
    const { rows } = this.#environment;
    const result = decideRow(this.#written.get(row.key) ?? rows.getBinary(row.key), row, encoded);
    if (result.status !== "applied") return result;
    this.#written.set(row.key, encoded);
    this.#committed = rows.put(row.key, Buffer.from(encoded.buffer));
    this.#index(row);
    return result;
  }

  #index({ key, value }: Row): void {
    const entry = indexEntry(key, this.#indexed);
    if (entry === undefined) return;
    const { index } = this.#environment;
    this.#committed = value === null ? index.remove(entry) : index.put(entry, emptyValue);
  }

  /** Puts of one turn are one transaction, so the last one's promise is everyone's; then the sync. */
  async committed(): Promise<void> {
    await this.#committed;
    if (this.#written.size > 0) await this.#environment.root.flushed;
  }
}

/** Where an indexed row stands in the reverse index; undefined if its backend has none. */
function indexEntry(row: RowKey, indexed: ReadonlySet<string>): string | undefined {
  const { backend, key, sub } = splitRowKey(row);
  return indexed.has(backend) ? `${backend}${separator}${sub}${separator}${key}` : undefined;
}

/** Another process's view of a store: each call sees what was committed before it. Nothing is ever written. */
export interface StoreReader {
  getSync(keys: readonly RowKey[]): (Row | undefined)[];
  scanSync(range: ScanRange, limit: number): Row[];
  close(): Promise<void>;
}

/**
 * To be opened before the store is: a reader that opens it later could take a commit from its owner, and is refused
 * (environment_lock.ts). Opened as an owner would: after a loss of power whoever opens an environment first must go
 * back to its last synced transaction, and LMDB does not do that for a reader, nor for an owner who finds a reader.
 * Nothing is written but that. Errors: `locked` while another process has the store open; `unavailable` when there is
 * none, or its folder can't be written; `newer_format`, `unreadable`.
 */
export function openLmdbReader(path: string): StoreReader {
  checkLmdbFile(path);
  return guarded(path, () => {
    if (!hasEnvironment(path)) throw new Error("there is no store");
    const { value, release } = openToRead(path, () => openToScan(path));
    const { root, rows } = value;
    return {
      getSync: (keys) => {
        root.resetReadTxn();
        return keys.map((key) => readRow(rows, key));
      },
      scanSync: (range, limit) => {
        root.resetReadTxn();
        return scanRows(rows, range, limit);
      },
      close: async () => {
        await root.close();
        release();
      },
    };
  });
}

function openToScan(path: string): Pick<Environment, "root" | "rows"> {
  // Its syncs overlap by default, as the owner's. By name that is refused where this process reads it already.
  const root = open<Buffer, string>({ path, mapSize: mapBytes, maxDbs: databases, ...utf8Binary });
  checkStoreFormat(root, openMeta(root, notMade), path);
  // Whoever made the environment may have died before it was a store.
  const rows: Database<Buffer, string> | undefined = openRows(root, notMade);
  if (rows !== undefined) return { root, rows };
  void root.close();
  throw new Error("there is no store yet");
}

function readRow(rows: Database<Buffer, string>, key: RowKey): Row | undefined {
  if (isTooLong(key)) return undefined;
  const bytes = rows.getBinary(key);
  return bytes === undefined ? undefined : decodeRow(key, bytes);
}

function scanRows(rows: Database<Buffer, string>, range: ScanRange, limit: number): Row[] {
  return scanEncoded(rows, range, limit).map(({ key, value }) => decodeRow(key, value));
}

function scanEncoded(rows: Database<Buffer, string>, { from, to }: ScanRange, limit: number): EncodedRow[] {
  const found: EncodedRow[] = [];
  for (const entry of rows.getRange({ start: from === "" ? firstKey : from, limit })) {
    if (to !== "" && compareKeys(entry.key, to) >= 0) break;
    found.push(entry);
  }
  return found;
}
