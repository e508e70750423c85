/**
 * The control store: the small truth that both sites agree on, by compare-and-set of single records.
 * It holds the term counter, each shard's term and owner, each cohort's phase, leases, store identities, decisions and
 * their log; everything else is derived. LMDB on one machine (stores/lmdb_control.ts), memory in tests.
 */

import type { Coverage } from "./coverage.ts";
import type { CohortId, RowKey, Site } from "./records.ts";

export interface ControlRecord<T = unknown> {
  readonly key: string;
  readonly value: T;
  /** Rises with each change of this record; 0 never occurs. */
  readonly revision: number;
}

/** Operating error of every method: `unavailable`. */
export interface ControlStore {
  get(key: string): Promise<ControlRecord | undefined>;
  /** Records whose key starts with `prefix`, in key order. */
  list(prefix: string): Promise<ControlRecord[]>;
  /**
   * Writes `value` if the record's revision is `expected` (0: it does not exist), durably.
   * Returns the new revision, or undefined if another revision stands there.
   */
  compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined>;
  /** Draws the next term: a number never drawn before, larger than all drawn. */
  nextTerm(): Promise<number>;
  close(): Promise<void>;
}

/** `shard/<site>/<shard>` */
export interface ShardRecord {
  readonly site: Site;
  readonly shard: number;
  readonly term: number;
  /** The store that the owner of this term opened. */
  readonly storeId: string;
  readonly incarnation: number;
  /** The shard's term that this store is known to be fenced at. */
  readonly fencedTerm: number;
}

/** `mirror/<site>/<shard>`: whether the mirror of a shard's marks may be trusted. None: it may. */
export interface MirrorRecord {
  readonly site: Site;
  readonly shard: number;
  /** Marks were acknowledged that it does not have. */
  readonly stale: boolean;
  /** Wall-clock ms. */
  readonly sinceMs: number;
  readonly reason: string;
}

/** `cohort/<cohort id>`, written by plan: live while marks are made for it; finished: never again. */
export interface CohortRecord {
  readonly cohort: CohortId;
  readonly phase: "off" | "live" | "finished";
  /** Its authority and term before any decision. */
  readonly site: Site;
  readonly term: number;
}

export type DecisionState = "announced" | "blocking" | "swapped" | "aborted";

/**
 * `decision/<id>`: the one record that moves authority of a set of cohorts, all of one phone prefix.
 * Terms: before < blockTerm (t1) < swapTerm (t2). A cohort's authority is the outcome of its latest decision.
 */
export interface DecisionRecord {
  readonly id: string;
  readonly prefix: string;
  readonly cohorts: readonly CohortId[];
  readonly from: Site;
  readonly to: Site;
  readonly blockTerm: number;
  readonly swapTerm: number;
  readonly state: DecisionState;
  /** It ends as aborted, whatever happens: measured only. */
  readonly rehearsal?: boolean;
  /** Aborted before it blocked anything: it says nothing about the authority, another may have swapped meanwhile. */
  readonly withdrawn?: boolean;
  /** Which coordinator holds it and until when (ms since 1970); anyone may end it after that. */
  readonly owner: string;
  readonly leaseUntilMs: number;
  /** What a swap rested on: the comparison of every row, what was verified after it under the block, and their ages. */
  readonly compared?: Coverage;
  /** Of a swap: the old side serves nothing of it any more, so the new one need not wait for the end of a lease. */
  readonly letGo?: boolean;
  /** Wall-clock ms at the swap or abort: expiry is judged by the later of this and the own clock. */
  readonly endedAtMs: number;
}

/** `held/<decision id>`: the rows that the decision's move carried over, for a site whose log is lost later. */
export interface HeldRecord {
  readonly decision: string;
  readonly keys: readonly RowKey[];
}

export interface Authority {
  readonly site: Site;
  readonly term: number;
  /** True between `blocking` and the end of the decision: no client write is admitted anywhere. */
  readonly blocked: boolean;
  readonly decision: DecisionRecord | undefined;
  /** The swap that it rests on, as long as control does not know that the side that it was taken from let go. */
  readonly leaving?: string;
}

/** Who may write a cohort: the outcome of its latest decision, or what plan wrote. Pure. */
export function authorityOf(cohort: CohortRecord, decisions: readonly DecisionRecord[]): Authority {
  let latest: DecisionRecord | undefined;
  for (const decision of decisions) {
    if (!decision.cohorts.includes(cohort.cohort)) continue;
    if (latest === undefined || decision.blockTerm > latest.blockTerm) latest = decision;
  }
  if (latest === undefined)
    return { site: cohort.site, term: cohort.term, blocked: false, decision: undefined };
  switch (latest.state) {
    case "announced": {
      const earlier = decisions.filter((decision) => decision !== latest);
      return { ...authorityOf(cohort, earlier), decision: latest };
    }
    case "blocking":
      return { site: latest.from, term: latest.blockTerm, blocked: true, decision: latest };
    case "swapped": {
      const leaving = latest.letGo === true ? {} : { leaving: latest.id };
      return { site: latest.to, term: latest.swapTerm, blocked: false, decision: latest, ...leaving };
    }
    case "aborted":
      if (latest.withdrawn === true) {
        return authorityOf(
          cohort,
          decisions.filter((decision) => decision !== latest),
        );
      }
      return { site: latest.from, term: latest.swapTerm, blocked: false, decision: latest };
  }
}

export const controlKeys = {
  shard: (site: Site, shard: number): string => `shard/${site}/${shard}`,
  mirror: (site: Site, shard: number): string => `mirror/${site}/${shard}`,
  cohort: (cohort: CohortId): string => `cohort/${cohort}`,
  held: (decision: string): string => `held/${decision}`,
  decision: (id: string): string => `decision/${id}`,
  coverage: (shard: number): string => `coverage/${shard}`,
  /** Up to where a shard's db_feed has marked: see change_feed.ts. */
  feed: (site: Site, shard: number): string => `feed/${site}/${shard}`,
  allAudits: "audit/",
  audits: (prefix: string): string => `audit/${prefix}/`,
  audit: (prefix: string, n: number): string => `audit/${prefix}/${String(n).padStart(8, "0")}`,
  auditHead: (prefix: string): string => `audit_head/${prefix}`,
  auditSalts: (prefix: string, id: string): string => `audit_salt/${prefix}/${id}`,
} as const;
