/**
 * The decision log of each prefix: every step of every decision and every deed of an operator, in order, append-only.
 * An entry carries the hash of the one before it, so what was written can't be changed, moved or left out unnoticed.
 *
 * State: the last entry of each prefix, as far as it is known; entries that wait to be written.
 * A key stands in an entry only as a salted hash. The salts lie apart, in records that may be erased: then nobody can
 * tell any more whose key it was, and the chain still holds.
 *
 * Always true: an entry is written by compare-and-set where none is, so two writers never share a place; entries of one
 * writer stand in the order in which it appended them.
 */

import { NanoError, type Self } from "../src/index.ts";
import { canonicalJson } from "./canonical_json.ts";
import { type ControlStore, controlKeys } from "./control_store.ts";
import { readCohorts } from "./decisions.ts";
import { type RowKey, splitRowKey } from "./records.ts";

/** The resource `digest`. */
export interface Digest {
  /** SHA-256 of the text's UTF-8 bytes, in hexadecimal digits. */
  sha256(text: string): string;
}

export type DecisionStep =
  | "announced"
  | "compared"
  | "blocking"
  | "blocked"
  | "drained_and_verified"
  | "carried"
  | "swapped"
  | "unblocked"
  | "aborted"
  | "released"
  /** An operator's deeds with quarantined and held keys. */
  | "perror_retried"
  | "perror_resolved"
  | "held_released";

export type DecisionFacts = Readonly<Record<string, string | number | boolean>>;

/** `audit/<prefix>/<n>` */
export interface DecisionEntry {
  readonly prefix: string;
  /** From 1, without gaps. */
  readonly n: number;
  /** Of the entry before, or `noHash`. */
  readonly previous: string;
  /** The decision's id; "" for an operator's deed. */
  readonly decision: string;
  readonly step: DecisionStep;
  /** Wall clock of who wrote it, ms since 1970. */
  readonly atMs: number;
  readonly by: string;
  readonly facts: DecisionFacts;
  /** Salted hashes of the keys that the step is about, in the order of the salts. */
  readonly keys: readonly string[];
  /** Names the record with the salts; "" without keys. */
  readonly salts: string;
  /** Over the canonical text of all fields above. */
  readonly hash: string;
}

/** `audit_salt/<prefix>/<id>`: one for each key of an entry; "" once it was erased. */
export interface SaltRecord {
  readonly salts: readonly string[];
}

/** `audit_head/<prefix>`: written after the entry, so it may lag by those that a dead writer had under way. */
export interface HeadRecord {
  readonly n: number;
  readonly hash: string;
}

export interface DecisionDraft {
  readonly prefix: string;
  readonly decision: string;
  readonly step: DecisionStep;
  readonly facts?: DecisionFacts;
  readonly keys?: readonly RowKey[];
  /** `later`: the head is left to the next entry. Default: `now`. */
  readonly head?: "now" | "later";
}

interface Tail extends HeadRecord {
  readonly entry: DecisionEntry | undefined;
}

type Sealed = Omit<DecisionEntry, "n" | "previous" | "hash">;

/** The predecessor of a first entry. */
export const noHash = "0".repeat(64);

const saltBytes = 16;

export class DecisionLog {
  readonly #self: Self;
  readonly #control: ControlStore;
  readonly #digest: Digest;
  readonly #tails = new Map<string, Tail>();
  #last: Promise<void> = Promise.resolve();
  #failed: unknown;

  constructor(self: Self, control: ControlStore, digest: Digest) {
    this.#self = self;
    this.#control = control;
    this.#digest = digest;
  }

  /** Durable when it resolves, after all that was appended before. Errors: `unavailable`; it is not tried again. */
  append(draft: DecisionDraft): Promise<void> {
    const { prefix, decision, step, facts = {}, keys = [], head = "now" } = draft;
    const atMs = this.#self.clock.now();
    const written = this.#last.then(async () => {
      const salted = await this.#salted(prefix, keys);
      const tail = await this.#write({ prefix, decision, step, atMs, by: this.#self.name, facts, ...salted });
      if (head === "now") await this.#writeHead(prefix, tail);
      this.#tails.set(prefix, tail);
    });
    this.#last = written.catch((error) => {
      this.#failed = error;
    });
    return written;
  }

  /** All that was appended is durable. Errors: that of an append since the last asking which was not written. */
  async settled(): Promise<void> {
    await this.#last;
    const failed = this.#failed;
    this.#failed = undefined;
    if (failed !== undefined) throw failed;
  }

  /** Salts first: an entry's hashes are never without them. */
  async #salted(prefix: string, keys: readonly RowKey[]): Promise<Pick<DecisionEntry, "keys" | "salts">> {
    if (keys.length === 0) return { keys: [], salts: "" };
    const salts = keys.map(() => hex(this.#self.random.bytes("decision_log.salt", saltBytes)));
    const id = hex(this.#self.random.bytes("decision_log.salts", saltBytes));
    const record: SaltRecord = { salts };
    await this.#control.compareAndSet(controlKeys.auditSalts(prefix, id), 0, record);
    const hashes = keys.map((row, i) => {
      const { backend, key } = splitRowKey(row);
      return saltedHash(this.#digest, salts[i] ?? "", backend, key);
    });
    return { keys: hashes, salts: id };
  }

  async #write(sealed: Sealed): Promise<Tail> {
    const { prefix } = sealed;
    for (;;) {
      const tail = this.#tails.get(prefix) ?? (await readTail(this.#control, prefix));
      this.#tails.delete(prefix);
      // An append whose answer was lost did take place.
      if (tail.entry !== undefined && isSame(tail.entry, sealed)) return tail;
      const entry = seal(this.#digest, { ...sealed, n: tail.n + 1, previous: tail.hash });
      if ((await this.#control.compareAndSet(controlKeys.audit(prefix, entry.n), 0, entry)) === undefined)
        continue;
      return { n: entry.n, hash: entry.hash, entry };
    }
  }

  async #writeHead(prefix: string, tail: Tail): Promise<void> {
    const { n, hash } = tail;
    for (;;) {
      const record = await this.#control.get(controlKeys.auditHead(prefix));
      if (record !== undefined && (record.value as HeadRecord).n >= n) break;
      const head: HeadRecord = { n, hash };
      const key = controlKeys.auditHead(prefix);
      if ((await this.#control.compareAndSet(key, record?.revision ?? 0, head)) !== undefined) break;
    }
  }
}

export async function readEntries(control: ControlStore, prefix: string): Promise<DecisionEntry[]> {
  const records = await control.list(controlKeys.audits(prefix));
  return records.map(({ value }) => value as DecisionEntry);
}

/** From the head on: whoever wrote behind it died before the head followed. */
async function readTail(control: ControlStore, prefix: string): Promise<Tail> {
  const head = (await control.get(controlKeys.auditHead(prefix)))?.value as HeadRecord | undefined;
  let tail: Tail = { n: head?.n ?? 0, hash: head?.hash ?? noHash, entry: undefined };
  if (head !== undefined) {
    const last = (await control.get(controlKeys.audit(prefix, head.n)))?.value as DecisionEntry | undefined;
    tail = { ...tail, entry: last };
  }
  for (;;) {
    const record = await control.get(controlKeys.audit(prefix, tail.n + 1));
    if (record === undefined) return tail;
    const entry = record.value as DecisionEntry;
    tail = { n: entry.n, hash: entry.hash, entry };
  }
}

function seal(digest: Digest, fields: Omit<DecisionEntry, "hash">): DecisionEntry {
  return { ...fields, hash: entryHash(digest, fields) };
}

/** Of all fields but the hash itself. */
export function entryHash(digest: Digest, fields: Omit<DecisionEntry, "hash">): string {
  const { prefix, n, previous, decision, step, atMs, by, facts, keys, salts } = fields;
  return digest.sha256(canonicalJson({ prefix, n, previous, decision, step, atMs, by, facts, keys, salts }));
}

/** Of a key of a backend; what is below the key (a member, a one-time key's id) is another's, and is left out. */
export function saltedHash(digest: Digest, salt: string, backend: string, key: string): string {
  return digest.sha256(`${salt}\u0000${backend}\u0000${key}`);
}

/**
 * Erases what ties a person's key to the logs: its salts, whatever the backend. Returns in how many entries it stood.
 * Errors: `conflict` when a salt record is changed meanwhile.
 */
export async function eraseKey(control: ControlStore, digest: Digest, key: string): Promise<number> {
  const cohorts = await readCohorts(control);
  const backends = [...new Set(cohorts.map(({ cohort }) => cohort.slice(0, cohort.indexOf("/"))))];
  let erased = 0;
  for (const { value } of await control.list(controlKeys.allAudits)) {
    const { prefix, salts: id, keys } = value as DecisionEntry;
    const record = id === "" ? undefined : await control.get(controlKeys.auditSalts(prefix, id));
    if (record === undefined) continue;
    const { salts } = record.value as SaltRecord;
    const isTheirs = (salt: string, i: number): boolean =>
      salt !== "" && backends.some((backend) => saltedHash(digest, salt, backend, key) === keys[i]);
    const left = salts.map((salt, i) => (isTheirs(salt, i) ? "" : salt));
    if (left.every((salt, i) => salt === salts[i])) continue;
    if ((await control.compareAndSet(record.key, record.revision, { salts: left })) === undefined) {
      throw new NanoError("conflict", `the salts of ${record.key} were changed meanwhile; erase again`);
    }
    erased++;
  }
  return erased;
}

function isSame(entry: DecisionEntry, sealed: Sealed): boolean {
  const { decision, step, atMs, by } = sealed;
  return entry.decision === decision && entry.step === step && entry.atMs === atMs && entry.by === by;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
