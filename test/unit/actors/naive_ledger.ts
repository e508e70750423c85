/** The ledger in the plainest words: lists that are walked for every answer. What the real one must agree with. */

import type { CohortCounts, Outcome, Released, Sender, Taken } from "../../../actors/ledger.ts";
import type { CohortId, MarkOwner, RowKey, Version } from "../../../actors/records.ts";

interface NaiveMark {
  readonly key: RowKey;
  readonly cohort: CohortId;
  version: Version;
  owner: MarkOwner;
  pending: number;
  quarantined: boolean;
  parked: boolean;
}

export class NaiveLedger {
  marks: NaiveMark[] = [];
  lanes: { readonly key: RowKey; readonly sender: Sender }[] = [];
  /** Keys that replay may have, in the order in which they became so. */
  #ready: RowKey[] = [];

  mark(key: RowKey): NaiveMark | undefined {
    return this.marks.find((mark) => mark.key === key);
  }

  holds(key: RowKey): boolean {
    return this.lanes.some((lane) => lane.key === key);
  }

  get ready(): RowKey[] {
    const may = this.marks.filter(
      ({ key, owner, pending, parked }) => owner === "replay" && pending === 0 && !parked && !this.holds(key),
    );
    const kept = this.#ready.filter((key) => may.some((mark) => mark.key === key));
    const added = may.map(({ key }) => key).filter((key) => !kept.includes(key));
    this.#ready = [...kept, ...added];
    return this.#ready;
  }

  admit(key: RowKey, cohort: CohortId, version: Version): void {
    const mark = this.mark(key);
    if (mark === undefined) {
      const state = { owner: "queuer", pending: 1, quarantined: false, parked: false } as const;
      this.marks.push({ key, cohort, version, ...state });
      return;
    }
    mark.version = version;
    mark.pending++;
    if (mark.owner === "perror") mark.owner = "queuer";
  }

  suspect(key: RowKey, cohort: CohortId, version: Version, owner: MarkOwner): void {
    if (this.mark(key) !== undefined) return;
    const state = { pending: 0, quarantined: owner === "perror", parked: false };
    this.marks.push({ key, cohort, version, owner, ...state });
  }

  touch(key: RowKey, cohort: CohortId, version: Version): void {
    const mark = this.mark(key);
    if (mark === undefined) {
      this.suspect(key, cohort, version, "replay");
      return;
    }
    mark.version = version;
    if (mark.owner === "perror") this.own(key, "replay");
  }

  renew(key: RowKey, version: Version): void {
    const mark = this.mark(key);
    if (mark !== undefined) mark.version = version;
  }

  quarantine(key: RowKey, version: Version): void {
    const mark = this.mark(key);
    if (mark === undefined) return;
    mark.quarantined = true;
    if (mark.pending === 0 && mark.version.join() === version.join()) this.own(key, "perror");
  }

  begin(fresh: () => Version): void {
    for (const mark of this.marks) {
      const isSent = mark.pending === 0 && this.holds(mark.key);
      mark.pending = 0;
      if (!isSent) mark.version = fresh();
      if (mark.owner === "queuer") this.own(mark.key, "replay");
    }
  }

  settle(key: RowKey): MarkOwner | undefined {
    const mark = this.mark(key);
    if (mark === undefined || mark.pending === 0) return undefined;
    mark.pending--;
    return mark.owner;
  }

  own(key: RowKey, owner: MarkOwner): void {
    const mark = this.mark(key);
    if (mark === undefined) return;
    if (mark.owner !== owner) mark.parked = false;
    mark.owner = owner;
    if (owner === "perror") mark.quarantined = true;
  }

  unpark(key: RowKey): void {
    const mark = this.mark(key);
    if (mark?.owner === "replay") mark.parked = false;
  }

  take(keys: readonly RowKey[]): { taken: Taken[]; busy: RowKey[] } {
    const taken: Taken[] = [];
    const busy: RowKey[] = [];
    for (const key of keys) {
      if (this.mark(key)?.owner !== "queuer") continue;
      if (this.holds(key)) busy.push(key);
      else taken.push(...this.#lane(key, "queuer"));
    }
    return { taken, busy };
  }

  takeReady(limit: number): Taken[] {
    return this.ready.slice(0, limit).flatMap((key) => this.#lane(key, "replay"));
  }

  takeUnmarked(sender: "crawler" | "compare", keys: readonly RowKey[]): RowKey[] {
    const taken: RowKey[] = [];
    for (const key of keys) {
      if (this.mark(key) !== undefined || this.holds(key)) continue;
      this.lanes.push({ key, sender });
      taken.push(key);
    }
    return taken;
  }

  release({ key, version, pending }: Taken, outcome: Outcome): Released {
    this.lanes = this.lanes.filter((lane) => lane.key !== key);
    const mark = this.mark(key);
    if (mark === undefined) return { again: [], cleared: [] };
    if (outcome === "confirmed" && `${mark.version.join()}` === version.join() && pending === 0) {
      this.drop(key);
      return { again: [], cleared: [{ key, version, healed: mark.quarantined }] };
    }
    if (mark.owner === "replay") mark.parked = outcome === "parked";
    return { again: mark.owner === "queuer" && mark.pending === 0 ? [key] : [], cleared: [] };
  }

  releaseUnmarked(key: RowKey): RowKey[] {
    this.lanes = this.lanes.filter((lane) => lane.key !== key);
    const mark = this.mark(key);
    return mark?.owner === "queuer" && mark.pending === 0 ? [key] : [];
  }

  disown(sender: Sender): void {
    this.lanes = this.lanes.filter((lane) => lane.sender !== sender);
    for (const mark of this.marks) {
      if (sender === "queuer" && mark.owner === "queuer") mark.owner = "replay";
      if (sender === "replay" && mark.owner === "replay") mark.parked = false;
    }
  }

  drop(key: RowKey): boolean {
    const before = this.marks.length;
    this.marks = this.marks.filter((mark) => mark.key !== key);
    return this.marks.length < before;
  }

  counts(cohorts?: readonly CohortId[]): CohortCounts {
    const of = this.marks.filter(({ cohort }) => cohorts === undefined || cohorts.includes(cohort));
    const pending = of.reduce((sum, mark) => sum + mark.pending, 0);
    return { marks: of.length, pending, perror: of.filter(({ owner }) => owner === "perror").length };
  }

  #lane(key: RowKey, sender: Sender): Taken[] {
    const mark = this.mark(key);
    if (mark === undefined) return [];
    this.lanes.push({ key, sender });
    return [{ key, cohort: mark.cohort, version: mark.version, pending: mark.pending }];
  }
}
