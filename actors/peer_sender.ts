/**
 * How a shard's rows reach the peer: shared by db_queuer, db_replay and db_crawler. Reads the *current* local rows
 * under lanes that the caller holds, fences the peer first, applies, and says for each key how it went.
 *
 * Always true: what is sent was read from the local store after its lane was given, never kept from a request;
 * an answer that did not come is `unknown`, not failed.
 */

import { hasCode, NanoError, type Ref, type Self } from "../src/index.ts";
import { db_store } from "./db_store.ts";
import type { TakenWithGrants } from "./ledger_messages.ts";
import {
  compareVersions,
  type Grant,
  type Grants,
  type Row,
  type RowKey,
  type Scope,
  type Version,
} from "./records.ts";
import { noPace, notePace, type PaceSums } from "./send_pace.ts";
import { type ShardOptions, shardProcess } from "./shard_options.ts";
import type { ApplyGroup, ApplyResult } from "./store_messages.ts";

/**
 * `confirmed`: the peer has the row that was read. `again`: it changed while it was sent. `unknown`: no answer.
 * `fenced`: a newer term stands at the peer. `amend`: versions alone can't repair it, a fresh one is needed.
 */
export type SendOutcome =
  | { readonly status: "confirmed" | "again" | "unknown" | "fenced" | "amend" }
  | { readonly status: "rejected"; readonly code: string };

export interface Sent {
  readonly taken: TakenWithGrants;
  readonly outcome: SendOutcome;
}

export class PeerSender {
  readonly #store: Ref<typeof db_store>;
  readonly #peer: Ref<typeof db_store>;
  readonly #timeoutMs: number;
  readonly #clock: Self["clock"];
  #pace = noPace;
  /** Terms that the peer's store is known to be fenced at. */
  readonly #fenced = new Map<Scope, number>();

  constructor(self: Self, options: ShardOptions) {
    this.#store = self.ref(db_store, shardProcess(options.site, options.shard, "db_store"));
    this.#peer = self.ref(db_store, options.peer);
    this.#timeoutMs = options.tuning.peerTimeoutMs;
    this.#clock = self.clock;
  }

  /** How fast the peer answered batches, lately. */
  get pace(): PaceSums {
    return this.#pace;
  }

  /** Sends the current rows of these keys. Rejects only when the *local* store fails. */
  async send(batch: readonly TakenWithGrants[]): Promise<Sent[]> {
    const startedAtMs = this.#clock.monotonicMs();
    const rows = await this.#store.call.get(batch.map(({ key }) => key));
    try {
      for (const { grants } of batch) for (const grant of grants) await this.#fence(grant);
      const sent = await this.#apply(batch, rows);
      this.#pace = notePace(this.#pace, batch.length, this.#clock.monotonicMs() - startedAtMs);
      return sent;
    } catch (error) {
      if (!(error instanceof NanoError)) throw error;
      const status = hasCode(error, "fenced") ? "fenced" : "unknown";
      return batch.map((taken) => ({ taken, outcome: { status } }));
    }
  }

  /** The peer's rows, for comparison. Errors: `timeout`, `crashed`, `noproc`, `unavailable`. */
  read(keys: readonly RowKey[]): Promise<(Row | undefined)[]> {
    return this.#peer.call.get(keys, { timeoutMs: this.#timeoutMs });
  }

  /** Before the first row under a term: nothing older can land at the peer after it. */
  async #fence({ scope, term }: Grant): Promise<void> {
    if (this.#fenced.get(scope) === term) return;
    const inForce = await this.#peer.call.fence({ scope, term }, { timeoutMs: this.#timeoutMs });
    if (inForce > term)
      throw new NanoError("fenced", `${scope} is at term ${inForce} at the peer`, { scope });
    this.#fenced.set(scope, term);
  }

  async #apply(batch: readonly TakenWithGrants[], rows: readonly (Row | undefined)[]): Promise<Sent[]> {
    const sent: Sent[] = [];
    const absent: TakenWithGrants[] = [];
    const groups = new Map<Scope, { group: ApplyGroup; rows: Row[]; taken: TakenWithGrants[] }>();
    batch.forEach((taken, index) => {
      const row = rows[index];
      if (row === undefined) {
        absent.push(taken);
        return;
      }
      let entry = groups.get(taken.cohort);
      if (entry === undefined) {
        const list: Row[] = [];
        entry = { group: { grants: taken.grants, rows: list }, rows: list, taken: [] };
        groups.set(taken.cohort, entry);
      }
      entry.rows.push(row);
      entry.taken.push(taken);
    });
    const list = [...groups.values()];
    if (list.length > 0) {
      const options = { timeoutMs: this.#timeoutMs };
      const results = await this.#peer.call.apply(
        list.map(({ group }) => group),
        options,
      );
      const behind: Behind[] = [];
      list.forEach(({ rows: groupRows, taken }, g) => {
        taken.forEach((each, i) => {
          const result = results[g]?.[i];
          const row = groupRows[i];
          if (result?.status === "stale" && row !== undefined && isNewer(result.current, row.version)) {
            behind.push({ taken: each, peerVersion: result.current });
          } else sent.push({ taken: each, outcome: outcomeOf(result) });
        });
      });
      if (behind.length > 0) sent.push(...(await this.#settleBehind(behind)));
    }
    if (absent.length > 0) sent.push(...(await this.#settleAbsent(absent)));
    return sent;
  }

  /**
   * The peer has a newer version than the row that was sent: a write of ours that was admitted meanwhile, or one that
   * is gone here (a tombstone whose mark was lost with a log looks equal, so nothing had to send it).
   */
  async #settleBehind(behind: readonly Behind[]): Promise<Sent[]> {
    const rows = await this.#store.call.get(behind.map(({ taken }) => taken.key));
    return behind.map(({ taken, peerVersion }, i) => {
      const row = rows[i];
      if (row !== undefined && !isNewer(peerVersion, row.version)) {
        return { taken, outcome: { status: "again" } };
      }
      if (isForeign(peerVersion, taken.grants)) {
        return { taken, outcome: { status: "rejected", code: "foreign" } };
      }
      return { taken, outcome: { status: "amend" } };
    });
  }

  /** A marked key without a local row: equal if the peer shows nothing either, else a tombstone must be made. */
  async #settleAbsent(absent: readonly TakenWithGrants[]): Promise<Sent[]> {
    const peerRows = await this.read(absent.map(({ key }) => key));
    return absent.map((taken, index) => {
      const row = peerRows[index];
      const status = row === undefined || row.value === null ? "confirmed" : "amend";
      return { taken, outcome: { status } };
    });
  }
}

/** A row that was sent, and the newer version that the peer has. */
interface Behind {
  readonly taken: TakenWithGrants;
  readonly peerVersion: Version;
}

function isNewer(version: Version, than: Version): boolean {
  return compareVersions(version, than) > 0;
}

/**
 * Above everything that these grants can admit, or of their very term and yet not here: a row of ours was committed
 * here before it was sent, and a store that loses rows gets a new shard term with its process. A version that is
 * admitted now need not be newer.
 */
function isForeign([cohortTerm, shardTerm]: Version, grants: Grants): boolean {
  const [cohort, shard] = grants;
  if (cohort === undefined || shard === undefined || cohortTerm !== cohort.term) {
    return cohort === undefined || cohortTerm > cohort.term;
  }
  return shardTerm >= shard.term;
}

function outcomeOf(result: ApplyResult | undefined): SendOutcome {
  if (result === undefined) return { status: "unknown" };
  switch (result.status) {
    case "applied":
    case "same":
      return { status: "confirmed" };
    case "fenced":
      return { status: "fenced" };
    case "rejected":
      return { status: "rejected", code: result.code };
    case "stale":
      // One version, other bytes.
      return { status: "amend" };
  }
}
