/**
 * Looks at rows on both sides in one turn and follows up what it saw. A look is synchronous: the model's
 * acceptable states, the authority's row and the peer's row belong together. What contradicts the model is
 * looked at again before it is called lost; what differs is called unaccounted only if the authority's
 * ledgers know nothing of it *and* neither side's row was written meanwhile.
 */

import { type RowKey, splitRowKey } from "../../actors/records.ts";
import { sites } from "../layout.ts";
import { type Account, adminBackend, protocolLimits } from "../protocol.ts";
import type { Authorities, CohortView } from "./authorities.ts";
import type { Client } from "./client.ts";
import type { Findings } from "./findings.ts";
import type { Judge, Verdict } from "./judge.ts";
import { driverLimits } from "./limits.ts";
import type { Model } from "./model.ts";
import type { Place, RowNumber } from "./population.ts";
import { type Pair, type Sides, sidesAgree, stoodStill } from "./sides.ts";

export interface ExaminerParts {
  readonly model: Model;
  readonly judge: Judge;
  readonly authorities: Authorities;
  readonly client: Client;
  readonly findings: Findings;
}

/** What one look found. */
export interface Look {
  /** Keys of live cohorts: both judgements hold for them. */
  readonly judged: number;
  /** They contradict the model. */
  readonly suspects: readonly Pair[];
  /** Their sides differ, in cohorts whose differences are accounted for. */
  readonly differing: readonly Pair[];
  /** Those that the population has a place for. */
  readonly rows: readonly RowNumber[];
}

/** A row that contradicts the model and stood still. */
interface WrongRow {
  readonly key: RowKey;
  readonly verdict: string;
  /** The other side's row would be acceptable. */
  readonly atPeer: boolean;
}

export class Examiner {
  readonly sides: Sides;
  readonly #parts: ExaminerParts;

  constructor(parts: ExaminerParts, sides: Sides) {
    this.#parts = parts;
    this.sides = sides;
  }

  /** Looks at rows, now. */
  lookAtRows(rows: readonly RowNumber[]): Look {
    return this.look(this.sides.get(rows.map((row) => this.#parts.model.population.rowKeyOf(row))));
  }

  /** Judges what was read in this very turn. */
  look(pairs: readonly Pair[]): Look {
    const nowMs = Date.now();
    const suspects: Pair[] = [];
    const differing: Pair[] = [];
    const rows: RowNumber[] = [];
    const { model, authorities, findings } = this.#parts;
    let judged = 0;
    for (const pair of pairs) {
      const parts = splitRowKey(pair.key);
      const view = authorities.of(parts.backend, parts.key);
      const place = model.population.placeOf(parts);
      if (place !== undefined) rows.push(place.row);
      if (this.#judgeRow(pair, place, sideOf(view), nowMs) !== undefined) suspects.push(pair);
      if (!view.live) continue;
      judged++;
      if (place !== undefined) findings.saw(place.row);
      if (!sidesAgree(pair)) differing.push(pair);
    }
    return { judged, suspects, differing, rows };
  }

  /**
   * Follows a look up and counts it as a sample; suspects take longer, so they have a promise of their own.
   */
  async conclude(look: Look): Promise<{ readonly suspects: Promise<void> }> {
    const suspects = this.#recheck(look.suspects);
    const unaccounted = new Map<RowKey, string>();
    let judged = look.judged;
    for (let at = 0; at < look.differing.length; at += protocolLimits.accountedKeysMax) {
      const pairs = look.differing.slice(at, at + protocolLimits.accountedKeysMax);
      const answers = await this.#accounts(pairs.map((pair) => pair.key));
      if (answers === undefined) judged -= pairs.length;
      else this.#checkAnswers(pairs, answers, unaccounted);
    }
    if (judged > 0) this.#parts.findings.sample(judged, unaccounted);
    return { suspects };
  }

  #judgeRow(pair: Pair, place: Place | undefined, side: 0 | 1, nowMs: number): Verdict {
    return judgeStored(this.#parts.judge, pair, place, side, nowMs);
  }

  #checkAnswers(pairs: readonly Pair[], answers: readonly Account[], unaccounted: Map<RowKey, string>): void {
    const unknown = pairs.filter((_, index) => answers[index] === "none");
    if (unknown.length === 0) return;
    const again = this.sides.get(unknown.map((pair) => pair.key));
    for (const [index, after] of again.entries()) {
      const before = unknown[index];
      if (before === undefined || !stoodStill(before, after)) continue;
      unaccounted.set(after.key, `the sides differ (${describeRow(after, 0)}; ${describeRow(after, 1)})`);
    }
  }

  /** Looks at suspects again until they are acceptable, or stood still and are not. */
  async #recheck(suspects: readonly Pair[]): Promise<void> {
    let left = suspects;
    for (let look = 0; look < driverLimits.rechecksMax && left.length > 0; look++) {
      await new Promise((resolve) => setTimeout(resolve, driverLimits.recheckMs));
      await this.#parts.authorities.refresh();
      if (!this.#parts.client.connected) return; // what serves is gone: its stores may be in recovery
      const { moved, wrong } = this.#lookAgain(left);
      left = moved;
      await this.#report(wrong);
    }
  }

  /** Of the suspects, those that are wrong still: moved since, or as they were. In one turn. */
  #lookAgain(before: readonly Pair[]): { readonly moved: Pair[]; readonly wrong: WrongRow[] } {
    const after = this.sides.get(before.map((pair) => pair.key));
    const nowMs = Date.now();
    const moved: Pair[] = [];
    const wrong: WrongRow[] = [];
    for (const [index, pair] of after.entries()) {
      const parts = splitRowKey(pair.key);
      const view = this.#parts.authorities.of(parts.backend, parts.key);
      const place = this.#parts.model.population.placeOf(parts);
      const side = sideOf(view);
      const verdict = this.#judgeRow(pair, place, side, nowMs);
      const earlier = before[index];
      if (verdict === undefined || earlier === undefined) continue;
      if (!stoodStill(earlier, pair)) {
        moved.push(pair);
        continue;
      }
      const atPeer = this.#judgeRow(pair, place, side === 0 ? 1 : 0, nowMs) === undefined;
      wrong.push({ key: pair.key, verdict: `in the store of ${view.authority}: ${verdict}`, atPeer });
    }
    return { moved, wrong };
  }

  /**
   * Counts rows as lost, but for keys in db_perror since before a swap: their state is at the former
   * authority.
   */
  async #report(wrong: readonly WrongRow[]): Promise<void> {
    const atPeer = wrong.filter((row) => row.atPeer);
    const answers = atPeer.length === 0 ? [] : await this.#accounts(atPeer.map((row) => row.key));
    if (answers === undefined) return; // nobody serves: the next sample sees them again
    for (const row of wrong) {
      const held = row.atPeer && answers[atPeer.indexOf(row)] === "perror";
      if (!held) this.#parts.findings.lost(row.key, row.verdict);
    }
  }

  /** What the ledgers say; undefined if they could not be asked. */
  async #accounts(keys: readonly RowKey[]): Promise<readonly Account[] | undefined> {
    const { client } = this.#parts;
    if (!client.connected) return undefined;
    return new Promise((resolve) => {
      client.request(adminBackend, "accounted", { keys }, (outcome) => {
        const answers = outcome.type === "done" ? outcome.result : undefined;
        resolve(isAccounts(answers, keys.length) ? answers : undefined);
      });
      client.flush();
    });
  }
}

/** The index of a cohort's authority in `sites`. */
export function sideOf(view: CohortView): 0 | 1 {
  return view.authority === sites[0] ? 0 : 1;
}

/** The verdict on one side's row of a pair; a key that the population has no place for must not be there. */
export function judgeStored(
  judge: Judge,
  pair: Pair,
  place: Place | undefined,
  side: 0 | 1,
  nowMs: number,
): Verdict {
  const stored = pair.rows[side];
  if (place === undefined) return (stored?.value ?? null) === null ? undefined : "a row that nobody wrote";
  return judge.stored(place.unit, place.row, stored, nowMs);
}

function isAccounts(value: unknown, length: number): value is readonly Account[] {
  const known: readonly unknown[] = ["mark", "range", "perror", "none"] satisfies Account[];
  return Array.isArray(value) && value.length === length && value.every((item) => known.includes(item));
}

/** What a side holds, for a report. */
export function describeRow(pair: Pair, side: 0 | 1): string {
  const row = pair.rows[side];
  const what =
    row === undefined ? "nothing" : row.value === null ? "a tombstone" : `${row.value.length} bytes`;
  return `${sites[side]} holds ${what}${row === undefined ? "" : ` of version ${row.version.join(".")}`}`;
}
