/** Judges what a take got: never a key that another request holds, and nothing only if nothing was left. */

import type { DriverEvent, WriteIntent } from "./events.ts";
import type { Findings } from "./findings.ts";
import type { Judge } from "./judge.ts";
import type { Model } from "./model.ts";
import type { Unit } from "./population.ts";

export type TakeIntent = WriteIntent & { readonly type: "take" };

export class TakeCheck {
  readonly #model: Model;
  readonly #judge: Judge;
  readonly #findings: Findings;

  constructor(model: Model, judge: Judge, findings: Findings) {
    this.#model = model;
    this.#judge = judge;
    this.#findings = findings;
  }

  /** What the answer of a take means for the model. */
  judge(unit: Unit, intent: TakeIntent, result: unknown): DriverEvent {
    const { operation } = intent;
    if (result === null || result === undefined) {
      this.#checkNoneLeft(unit, intent);
      return { type: "acknowledged", operation };
    }
    const { population } = this.#model;
    const key = keyOf(result);
    const row = key === undefined ? undefined : population.rowOfSub(unit, key.id);
    if (key === undefined || row === undefined) {
      this.#findings.lost(population.rowKeyOf(unit.first), "a take gets what was never uploaded");
      return { type: "acknowledged", operation };
    }
    const verdict = this.#judge.take(unit, row, intent.request, key.value);
    if (verdict.wrong !== undefined) {
      this.#findings.lost(population.rowKeyOf(row), verdict.wrong);
      return { type: "acknowledged", operation };
    }
    return { type: "taken", operation, row, upload: verdict.upload };
  }

  /** This take is in flight itself and may account for one key less; it took none. */
  #checkNoneLeft(unit: Unit, intent: TakeIntent): void {
    const others = this.#model
      .possibleTakes(unit.user)
      .filter((request) => request !== intent.request).length;
    const { free } = this.#model.keyBounds(unit);
    if (free > others) {
      const key = this.#model.population.rowKeyOf(unit.first);
      this.#findings.lost(key, `a take finds no key, ${free} are free and ${others} other takes unknown`);
    }
  }
}

function keyOf(result: unknown): { readonly id: string; readonly value: Uint8Array } | undefined {
  if (typeof result !== "object" || result === null || !("id" in result) || !("value" in result))
    return undefined;
  const { id, value } = result;
  return typeof id === "string" && value instanceof Uint8Array ? { id, value } : undefined;
}
