/**
 * Operations that come again: refused ones as new operations, after a time that doubles with each refusal
 * in a row; takes with an unknown outcome under their request id, until their outcome is known. Bounded:
 * what comes on top is given up.
 */

import type { Choice, WritePlan } from "./choice.ts";
import type { WriteIntent } from "./events.ts";
import { driverLimits } from "./limits.ts";
import type { Model } from "./model.ts";

/** Refusals that pass by themselves; `held`, `conflict` and `rejected` don't while the traffic runs. */
const passing: ReadonlySet<string> = new Set(["blocked", "moved", "overloaded", "discarded"]);

const slotMs = 10;

export class Retries {
  readonly #model: Model;
  readonly #choice: Choice;
  /** By the slot of time in which they fall due. */
  readonly #slots = new Map<number, WritePlan[]>();
  readonly #attempts = new WeakMap<WritePlan, number>();
  #slot = 0;
  #waiting = 0;

  constructor(model: Model, choice: Choice) {
    this.#model = model;
    this.#choice = choice;
  }

  /** Nothing was done: the same again, later. */
  refused(plan: WritePlan, code: string, nowMs: number): void {
    if (passing.has(code)) this.#later(plan, nowMs);
  }

  /** Only a take can be repeated without knowing: its request id makes it the same take. */
  unknown(plan: WritePlan, intent: WriteIntent, nowMs: number): void {
    if (plan.type !== "take" || intent.type !== "take") return;
    const repeated = plan.request === undefined ? { ...plan, request: intent.request } : plan;
    this.#later(repeated, nowMs);
  }

  /** One operation whose time has come, and whose place is free; undefined if there is none. */
  due(nowMs: number): WritePlan | undefined {
    const last = Math.floor(nowMs / slotMs);
    if (this.#waiting === 0) {
      this.#slot = last;
      return undefined;
    }
    for (; this.#slot <= last; this.#slot++) {
      const plan = this.#takeFrom(this.#slot, nowMs);
      if (plan !== undefined) return plan;
    }
    return undefined;
  }

  #takeFrom(slot: number, nowMs: number): WritePlan | undefined {
    const plans = this.#slots.get(slot);
    for (let plan = plans?.pop(); plan !== undefined; plan = plans?.pop()) {
      this.#waiting--;
      const lane = "row" in plan ? plan.row : plan.unit.first;
      if (!this.#model.isBusy(lane)) return plan;
      if (plan.type === "take") this.#later(plan, nowMs); // another row's write is newer than the refused one
    }
    this.#slots.delete(slot);
    return undefined;
  }

  #later(plan: WritePlan, nowMs: number): void {
    if (this.#waiting >= driverLimits.retriesMax) return;
    const attempt = this.#attempts.get(plan) ?? 0;
    this.#attempts.set(plan, attempt + 1);
    const delayMs = Math.min(driverLimits.retryMaxMs, driverLimits.retryMinMs * 2 ** attempt);
    const slot = Math.max(this.#slot + 1, Math.floor((nowMs + this.#choice.jitter(delayMs)) / slotMs));
    const plans = this.#slots.get(slot);
    if (plans === undefined) this.#slots.set(slot, [plan]);
    else plans.push(plan);
    this.#waiting++;
  }
}
