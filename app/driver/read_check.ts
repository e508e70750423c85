/**
 * Judges reads: what an answer shows of a row must be a state that was acceptable at some moment between
 * the request and the answer. A reverse lookup may lag, so only its words are checked: keys that exist and
 * can have that member.
 */

import { rowKey } from "../../actors/records.ts";
import type { ReadPlan } from "./choice.ts";
import type { Outcome } from "./client.ts";
import type { Findings } from "./findings.ts";
import type { Judge, Window } from "./judge.ts";
import type { Model, ReadWatch, StateWord } from "./model.ts";
import type { RowNumber, Unit } from "./population.ts";

/** An unknown write that a read proved to have happened. */
export interface SettledWrite {
  readonly row: RowNumber;
  readonly word: StateWord;
}

export interface BegunRead {
  readonly message: unknown;
  /** Judges the answer. */
  end(outcome: Outcome): readonly SettledWrite[];
}

export class ReadCheck {
  readonly #model: Model;
  readonly #judge: Judge;
  readonly #findings: Findings;

  constructor(model: Model, judge: Judge, findings: Findings) {
    this.#model = model;
    this.#judge = judge;
    this.#findings = findings;
  }

  /** Notes what is acceptable now; `end` must be called. */
  begin(plan: ReadPlan): BegunRead {
    const { unit } = plan;
    if (plan.type === "of") {
      const member = this.#model.population.subOf(unit, plan.row);
      return { message: { member }, end: (outcome) => this.#endLookup(unit, member, outcome) };
    }
    const watch = this.#model.watch(unit);
    const fromMs = Date.now();
    const end = (outcome: Outcome): readonly SettledWrite[] => {
      this.#model.unwatch(watch);
      if (outcome.type !== "done") return [];
      const window = { fromMs, toMs: Date.now() };
      switch (plan.type) {
        case "get":
          return this.#endGet(watch, outcome.result, window);
        case "list":
          return this.#endList(watch, outcome.result, window);
        case "count":
          return this.#endCount(watch, outcome.result);
      }
    };
    return { message: { key: unit.key }, end };
  }

  #endGet(watch: ReadWatch, result: unknown, window: Window): readonly SettledWrite[] {
    if (result !== null && !(result instanceof Uint8Array)) return this.#malformed(watch.unit, "get");
    return this.#judgeRow(watch, watch.unit.first, result, window);
  }

  #endList(watch: ReadWatch, result: unknown, window: Window): readonly SettledWrite[] {
    const { unit } = watch;
    const members = membersOf(result);
    if (members === undefined) return this.#malformed(unit, "list");
    const shown = new Map<RowNumber, Uint8Array>();
    for (const { member, value } of members) {
      const row = this.#model.population.rowOfSub(unit, member);
      if (row === undefined) {
        this.#findings.lost(
          rowKey(unit.backend, unit.key, member),
          "a list shows a member that was never added",
        );
      } else {
        shown.set(row, value);
      }
    }
    const settled: SettledWrite[] = [];
    for (let row = unit.first; row < unit.first + unit.count; row++) {
      settled.push(...this.#judgeRow(watch, row, shown.get(row) ?? null, window));
    }
    return settled;
  }

  #endCount(watch: ReadWatch, result: unknown): readonly SettledWrite[] {
    if (typeof result !== "number") return this.#malformed(watch.unit, "count");
    const { lower, upper } = watch.keyBounds;
    if (result < lower || result > upper) {
      const key = this.#model.population.rowKeyOf(watch.unit.first);
      this.#findings.lost(key, `a count shows ${result} free keys, there are ${lower} to ${upper}`);
    }
    return [];
  }

  #endLookup(unit: Unit, member: string, outcome: Outcome): readonly SettledWrite[] {
    if (outcome.type !== "done") return [];
    const keys: unknown = outcome.result;
    if (!Array.isArray(keys)) return this.#malformed(unit, "of");
    for (const key of keys as unknown[]) {
      const row = rowKey(unit.backend, String(key), member);
      if (this.#model.population.rowOf(row) === undefined) {
        this.#findings.lost(row, "a reverse lookup shows a key that never had this member");
      }
    }
    return [];
  }

  #judgeRow(watch: ReadWatch, row: RowNumber, value: Uint8Array | null, window: Window): SettledWrite[] {
    const verdict = this.#judge.read(watch, row, value, window);
    if (verdict !== undefined) {
      this.#findings.lost(this.#model.population.rowKeyOf(row), verdict);
      return [];
    }
    const word = this.#judge.settledBy(watch, row, value, window);
    return word === undefined ? [] : [{ row, word }];
  }

  #malformed(unit: Unit, operation: string): readonly SettledWrite[] {
    const key = rowKey(unit.backend, unit.key);
    this.#findings.lost(key, `the answer of ${operation} has another shape than the protocol's`);
    return [];
  }
}

function membersOf(result: unknown): { readonly member: string; readonly value: Uint8Array }[] | undefined {
  if (!Array.isArray(result)) return undefined;
  const members = [];
  for (const item of result as unknown[]) {
    if (typeof item !== "object" || item === null || !("member" in item) || !("value" in item))
      return undefined;
    const { member, value } = item;
    if (typeof member !== "string" || !(value instanceof Uint8Array)) return undefined;
    members.push({ member, value });
  }
  return members;
}
