/**
 * The ledger of one shard as a data structure: marks with their owners, lanes, and dirty ranges. Pure: no process,
 * no I/O; db_dirty_keys wraps it and makes it durable.
 *
 * Always true: a key has at most one mark and at most one lane; the bytes charged are those of the marks that stand;
 * per cohort the counts equal what a walk over all marks would find (checked by a property test).
 */

import { assert } from "../src/index.ts";
import {
  type CohortId,
  compareKeys,
  compareVersions,
  type DirtyRange,
  type MarkOwner,
  type RowKey,
  type Version,
} from "./records.ts";

/** Who may hold a lane. */
export type Sender = "queuer" | "replay" | "crawler" | "compare";

/** What a sender was given with a lane: to be handed back with the outcome. */
export interface Taken {
  readonly key: RowKey;
  readonly cohort: CohortId;
  readonly version: Version;
  /** Versions that waited for their local commit when the lane was given. */
  readonly pending: number;
}

/** `confirmed`: the peer has the row that was read under the lane. `parked`: the sender tries again later. */
export type Outcome = "confirmed" | "again" | "parked";

export interface Released {
  /** Keys that changed meanwhile and belong to the queuer: to be queued again. */
  readonly again: readonly RowKey[];
  readonly cleared: readonly { readonly key: RowKey; readonly version: Version; readonly healed: boolean }[];
}

interface Entry {
  readonly key: RowKey;
  readonly cohort: CohortId;
  version: Version;
  owner: MarkOwner;
  pending: number;
  /** db_perror holds an entry for it. */
  quarantined: boolean;
  /** Replay's backoff delays it: writes and the end of other senders' lanes leave that alone. */
  parked: boolean;
  readonly sinceMs: number;
}

/** What stands for a key: a mark, db_perror's mark, a range, or nothing. */
export type Account = "mark" | "perror" | "range" | "none";

export interface CohortCounts {
  marks: number;
  pending: number;
  perror: number;
}

const fresh = { quarantined: false, parked: false } as const;

/** What one mark costs beside its key: measured on V8, entry, map slots and version. */
const markBytes = 160;

export class Ledger {
  readonly #bytesMax: number;
  readonly #marks = new Map<RowKey, Entry>();
  readonly #lanes = new Map<RowKey, Sender>();
  /** Marks of replay that no sender holds and no backoff delays, oldest first. */
  readonly #ready = new Set<RowKey>();
  readonly #counts = new Map<CohortId, CohortCounts>();
  readonly #ranges = new Map<string, DirtyRange>();
  /** Writes that wait for their local commit; a range without an entry has none. */
  readonly #rangePending = new Map<string, number>();
  #bytes = 0;
  #nextRange = 1;
  #retractions = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Rises whenever a mark or a range goes or shrinks: a key may have lost what stood for it. */
  get retractions(): number {
    return this.#retractions;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#marks.size;
  }

  get readySize(): number {
    return this.#ready.size;
  }

  get lanes(): number {
    return this.#lanes.size;
  }

  /** True if another mark for a key of this length fits. A key that has a mark always fits. */
  fits(key: RowKey): boolean {
    return this.#marks.has(key) || this.#bytes + markBytes + key.length * 2 <= this.#bytesMax;
  }

  /**
   * An admission: the key's mark carries the new version, which waits for its local commit. A key in quarantine
   * gets another chance; one under repair stays with replay, so that a write does not reset its backoff.
   */
  admit(key: RowKey, cohort: CohortId, version: Version, nowMs: number): void {
    const entry = this.#marks.get(key);
    if (entry === undefined) {
      this.#insert({ key, cohort, version, owner: "queuer", pending: 1, sinceMs: nowMs, ...fresh });
      return;
    }
    assert(compareVersions(version, entry.version) !== 0, "a version is never admitted twice");
    entry.version = version;
    entry.pending++;
    this.#countsOf(entry.cohort).pending++;
    if (entry.owner === "perror") this.#setOwner(entry, "queuer");
    this.#ready.delete(key);
  }

  /** A mark that no admission made: found by a comparison, or recovered from the log. False if one stands. */
  suspect(key: RowKey, cohort: CohortId, version: Version, owner: MarkOwner, nowMs: number): boolean {
    if (this.#marks.has(key)) return false;
    const quarantined = owner === "perror";
    this.#insert({ key, cohort, version, owner, pending: 0, sinceMs: nowMs, ...fresh, quarantined });
    return true;
  }

  /**
   * A change that others have committed: the mark takes this version, so that no send that read its row before clears
   * it. A key in quarantine gets another chance; a write does not reset a backoff.
   */
  touch(key: RowKey, cohort: CohortId, version: Version, nowMs: number): void {
    const entry = this.#marks.get(key);
    if (entry === undefined) {
      this.#insert({ key, cohort, version, owner: "replay", pending: 0, sinceMs: nowMs, ...fresh });
      return;
    }
    assert(compareVersions(version, entry.version) !== 0, "a version is never given twice");
    entry.version = version;
    if (entry.owner === "perror") this.own(key, "replay");
  }

  /** One admitted version is settled locally: committed, or known not to be. Returns who sends the key. */
  settle(key: RowKey): MarkOwner | undefined {
    const entry = this.#marks.get(key);
    if (entry === undefined || entry.pending === 0) return undefined;
    entry.pending--;
    this.#countsOf(entry.cohort).pending--;
    if (entry.owner === "replay") this.#makeReady(entry);
    return entry.owner;
  }

  /**
   * A new shard term, whose fence settles everything: nothing is pending, replay has what was the queuer's, and each
   * mark a fresh version. Returns the marks.
   */
  begin(fresh: () => Version): readonly Readonly<Entry>[] {
    const marks = [...this.#marks.values()];
    for (const mark of marks) {
      // A send under way of a row that is settled tells what it would tell under the new term: it may clear the mark.
      const sent = mark.pending === 0 && this.#lanes.has(mark.key);
      for (let pending = mark.pending; pending > 0; pending--) this.settle(mark.key);
      if (!sent) mark.version = fresh();
      if (mark.owner === "queuer") this.own(mark.key, "replay");
    }
    this.settleRanges();
    return marks;
  }

  version(key: RowKey): Version | undefined {
    return this.#marks.get(key)?.version;
  }

  owner(key: RowKey): MarkOwner | undefined {
    return this.#marks.get(key)?.owner;
  }

  hasLane(key: RowKey): boolean {
    return this.#lanes.has(key);
  }

  /** Gives the key's mark a version that no job in flight has seen. */
  renew(key: RowKey, version: Version): void {
    const entry = this.#marks.get(key);
    if (entry !== undefined) entry.version = version;
  }

  /** A change of owner can't fail; keys without a mark are left alone. */
  own(key: RowKey, owner: MarkOwner): void {
    const entry = this.#marks.get(key);
    if (entry === undefined) return;
    this.#setOwner(entry, owner);
    if (owner === "perror") entry.quarantined = true;
    if (owner === "replay") this.#makeReady(entry);
  }

  /** Nothing was admitted for the key since this version. */
  mayQuarantine(key: RowKey, version: Version): boolean {
    const entry = this.#marks.get(key);
    return entry !== undefined && entry.pending === 0 && compareVersions(entry.version, version) === 0;
  }

  /** db_perror has an entry for this version of the key; it owns the mark if there is no newer one to try. */
  quarantine(key: RowKey, version: Version): void {
    const entry = this.#marks.get(key);
    if (entry === undefined) return;
    entry.quarantined = true;
    if (this.mayQuarantine(key, version)) this.#setOwner(entry, "perror");
  }

  /** After a backoff: replay may have the key again. */
  unpark(key: RowKey): void {
    const entry = this.#marks.get(key);
    if (entry === undefined || entry.owner !== "replay") return;
    entry.parked = false;
    this.#makeReady(entry);
  }

  /** Lanes for those of `keys` that the sender owns and nobody holds; the others come back in `busy`. */
  take(sender: "queuer", keys: readonly RowKey[]): { taken: Taken[]; busy: RowKey[] } {
    const taken: Taken[] = [];
    const busy: RowKey[] = [];
    for (const key of keys) {
      const entry = this.#marks.get(key);
      if (entry === undefined || entry.owner !== sender) continue;
      if (this.#lanes.has(key)) busy.push(key);
      else taken.push(this.#giveLane(entry, sender));
    }
    return { taken, busy };
  }

  /** Lanes for at most `limit` keys that wait for replay, oldest first. */
  takeReady(limit: number): Taken[] {
    const taken: Taken[] = [];
    for (const key of this.#ready) {
      if (taken.length >= limit) break;
      this.#ready.delete(key);
      const entry = this.#marks.get(key);
      assert(entry?.pending === 0, "a ready key has a mark, and nothing of it is pending");
      taken.push(this.#giveLane(entry, "replay"));
    }
    return taken;
  }

  /** Lanes for those keys that have neither mark nor lane: a crawl leaves all others to their marks. */
  takeUnmarked(sender: "crawler" | "compare", keys: readonly RowKey[]): RowKey[] {
    const taken: RowKey[] = [];
    for (const key of keys) {
      if (this.#marks.has(key) || this.#lanes.has(key)) continue;
      this.#lanes.set(key, sender);
      taken.push(key);
    }
    return taken;
  }

  /** Hands lanes back. A mark is cleared only by the version it had when the lane was given, nothing pending then. */
  release(results: readonly { readonly taken: Taken; readonly outcome: Outcome }[]): Released {
    const again: RowKey[] = [];
    const cleared: { key: RowKey; version: Version; healed: boolean }[] = [];
    for (const { taken, outcome } of results) {
      this.#lanes.delete(taken.key);
      const entry = this.#marks.get(taken.key);
      if (entry === undefined) continue;
      const unchanged = compareVersions(entry.version, taken.version) === 0 && taken.pending === 0;
      if (outcome === "confirmed" && unchanged) {
        cleared.push({ key: entry.key, version: entry.version, healed: entry.quarantined });
        this.#remove(entry);
      } else if (entry.owner === "queuer") {
        // One that waits for its commit is queued by it: until then there is nothing newer to send.
        if (entry.pending === 0) again.push(entry.key);
      } else if (entry.owner === "replay") {
        entry.parked = outcome === "parked";
        this.#makeReady(entry);
      }
    }
    return { again, cleared };
  }

  releaseUnmarked(keys: readonly RowKey[]): RowKey[] {
    const again: RowKey[] = [];
    for (const key of keys) {
      this.#lanes.delete(key);
      const entry = this.#marks.get(key);
      if (entry?.owner === "queuer" && entry.pending === 0) again.push(key);
      else if (entry?.owner === "replay") this.#makeReady(entry);
    }
    return again;
  }

  /** A sender died: its lanes are free, the queuer's keys belong to replay, replay's backoffs are forgotten. */
  disown(sender: Sender): void {
    for (const [key, holder] of this.#lanes) if (holder === sender) this.#lanes.delete(key);
    for (const entry of this.#marks.values()) {
      if (sender === "queuer" && entry.owner === "queuer") this.#setOwner(entry, "replay");
      if (entry.owner !== "replay") continue;
      if (sender === "replay") entry.parked = false;
      this.#makeReady(entry);
    }
  }

  drop(key: RowKey): boolean {
    const entry = this.#marks.get(key);
    if (entry === undefined) return false;
    this.#remove(entry);
    return true;
  }

  /** All marks, or those of these keys. */
  *marks(keys?: ReadonlySet<RowKey>): IterableIterator<Readonly<Entry>> {
    if (keys === undefined) yield* this.#marks.values();
    else for (const key of keys) yield* this.#markOf(key);
  }

  /** Sums over these cohorts, or over all. */
  counts(cohorts?: readonly CohortId[]): CohortCounts {
    const sum: CohortCounts = { marks: 0, pending: 0, perror: 0 };
    const all =
      cohorts === undefined ? this.#counts.values() : cohorts.map((cohort) => this.#countsOf(cohort));
    for (const { marks, pending, perror } of all) {
      sum.marks += marks;
      sum.pending += pending;
      sum.perror += perror;
    }
    return sum;
  }

  /** When the oldest mark was made, among the first of the map's order; undefined without marks. */
  oldestMs(): number | undefined {
    for (const entry of this.#marks.values()) if (entry.owner !== "perror") return entry.sinceMs;
    return undefined;
  }

  // --- ranges --------------------------------------------------------------------------------------------------

  /** A range that collects, with an id of its own. */
  openRange(
    shardTerm: number,
    { cohort, from, to, reason }: Pick<DirtyRange, "cohort" | "from" | "to" | "reason">,
  ): DirtyRange {
    let id = "";
    // One that was opened before this life's term has no term of its own, and may have outlived its ledger.
    do id = `${shardTerm}.${this.#nextRange++}`;
    while (this.#ranges.has(id));
    const range: DirtyRange = { id, cohort, from, to, cursor: from, state: "collecting", reason };
    this.setRange(range);
    return range;
  }

  setRange(range: DirtyRange): void {
    this.#retractions++;
    this.#ranges.set(range.id, range);
  }

  removeRange(id: string): void {
    this.#retractions++;
    this.#ranges.delete(id);
    this.#rangePending.delete(id);
  }

  range(id: string): DirtyRange | undefined {
    return this.#ranges.get(id);
  }

  ranges(): DirtyRange[] {
    return [...this.#ranges.values()];
  }

  /** The range that takes a cohort's writes while the ledger is full. */
  collecting(cohort: CohortId): DirtyRange | undefined {
    for (const range of this.#ranges.values()) {
      if (range.state === "collecting" && range.cohort === cohort) return range;
    }
    return undefined;
  }

  absorb(id: string): void {
    this.#rangePending.set(id, this.rangePending(id) + 1);
  }

  settleAbsorbed(id: string): void {
    const pending = this.rangePending(id);
    if (pending > 0) this.#rangePending.set(id, pending - 1);
  }

  /** A new shard term: what its ranges had absorbed is settled by the fence. */
  settleRanges(): void {
    this.#rangePending.clear();
  }

  rangePending(id: string): number {
    return this.#rangePending.get(id) ?? 0;
  }

  account(key: RowKey): Account {
    const entry = this.#marks.get(key);
    if (entry !== undefined) return entry.owner === "perror" ? "perror" : "mark";
    for (const range of this.#ranges.values()) if (covers(range, key)) return "range";
    return "none";
  }

  #markOf(key: RowKey): readonly Entry[] {
    const entry = this.#marks.get(key);
    return entry === undefined ? [] : [entry];
  }

  #insert(entry: Entry): void {
    this.#marks.set(entry.key, entry);
    this.#bytes += markBytes + entry.key.length * 2;
    const counts = this.#countsOf(entry.cohort);
    counts.marks++;
    counts.pending += entry.pending;
    if (entry.owner === "perror") counts.perror++;
    if (entry.owner === "replay") this.#makeReady(entry);
  }

  #remove(entry: Entry): void {
    this.#retractions++;
    assert(this.#marks.delete(entry.key), "a mark is removed once");
    this.#ready.delete(entry.key);
    this.#bytes -= markBytes + entry.key.length * 2;
    const counts = this.#countsOf(entry.cohort);
    counts.marks--;
    counts.pending -= entry.pending;
    if (entry.owner === "perror") counts.perror--;
  }

  #setOwner(entry: Entry, owner: MarkOwner): void {
    if (entry.owner === owner) return;
    const counts = this.#countsOf(entry.cohort);
    if (entry.owner === "perror") counts.perror--;
    if (owner === "perror") counts.perror++;
    entry.owner = owner;
    entry.parked = false;
    this.#ready.delete(entry.key);
  }

  #makeReady(entry: Entry): void {
    if (entry.pending === 0 && !entry.parked && !this.#lanes.has(entry.key)) this.#ready.add(entry.key);
  }

  #giveLane(entry: Entry, sender: Sender): Taken {
    this.#lanes.set(entry.key, sender);
    return { key: entry.key, cohort: entry.cohort, version: entry.version, pending: entry.pending };
  }

  #countsOf(cohort: CohortId): CohortCounts {
    let counts = this.#counts.get(cohort);
    if (counts === undefined) {
      counts = { marks: 0, pending: 0, perror: 0 };
      this.#counts.set(cohort, counts);
    }
    return counts;
  }
}

/** True if the range still has the key before it. */
export function covers(range: DirtyRange, key: RowKey): boolean {
  if (compareKeys(key, range.cursor) < 0) return false;
  return range.to === "" || compareKeys(key, range.to) < 0;
}
