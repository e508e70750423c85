/**
 * What an owner last read of control, and for how long it may serve by it. In a cluster an owner that is cut off from
 * control must not go on serving what another site serves by now (hazards 34, 54): it serves for `leaseMs` after a
 * reading began, by its own monotonic clock, and whoever moves authority waits that long for an owner that does not
 * answer. The lease is a bound on the age of what is known, not a record: nothing is written to renew it.
 *
 * For the same reason an owner that learns by itself that it gained a cohort waits as long before it serves it, unless
 * control says that the old side has let go (hazard 54).
 *
 * Always true: a reading that began before the last one was taken over is never taken over after it.
 */

import { type Clock, NanoError } from "../src/index.ts";
import type { CohortRecord, ControlStore, DecisionRecord } from "./control_store.ts";

export interface ControlReading {
  readonly cohorts: readonly CohortRecord[];
  readonly decisions: readonly DecisionRecord[];
  /** Equal for two readings of the same records. */
  readonly fingerprint: string;
  /** Monotonic ms: it says what stood then or later. */
  readonly begunMs: number;
}

/** Errors: `unavailable`. */
export async function readControl(
  control: ControlStore,
  clock: Pick<Clock, "monotonicMs">,
): Promise<ControlReading> {
  const begunMs = clock.monotonicMs();
  const cohorts = await control.list("cohort/");
  const decisions = await control.list("decision/");
  const fingerprint = [...cohorts, ...decisions].map(({ key, revision }) => `${key}@${revision}`).join();
  return {
    cohorts: cohorts.map(({ value }) => value as CohortRecord),
    decisions: decisions.map(({ value }) => value as DecisionRecord),
    fingerprint,
    begunMs,
  };
}

/** The rates of two nodes' clocks differ by far less than this. */
export const leaseMargin = 1.1;

/** Until when the side that a swap took cohorts from may serve them, as far as this owner can tell. */
export class LeavingSides {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #leaseMs: number;
  /** By decision. */
  readonly #untilMs = new Map<string, number>();

  /** `leaseMs` 0: who is told of a swap is told when the old side has let go, and nobody learns it by himself. */
  constructor(clock: Pick<Clock, "monotonicMs">, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** Control has these now: what the old side read before a swap that is among them is no younger than this. */
  seen(decisions: readonly DecisionRecord[]): void {
    const now = this.#clock.monotonicMs();
    for (const { id, state } of decisions) {
      if (state === "swapped" && !this.#untilMs.has(id))
        this.#untilMs.set(id, now + this.#leaseMs * leaseMargin);
    }
  }

  mayServe(decision: string): boolean {
    return this.#leaseMs > 0 && this.#clock.monotonicMs() < (this.#untilMs.get(decision) ?? 0);
  }
}

export class ServingLease {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #leaseMs: number;
  #fingerprint = "";
  #begunMs = 0;
  #takenOverMs = 0;

  /** `leaseMs` 0: control can't be cut off from this owner, so it serves for ever. */
  constructor(clock: Pick<Clock, "monotonicMs">, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /** After this it is time to read again: two readings may fail before the lease runs out. */
  get renewalMs(): number {
    return this.#leaseMs / 3;
  }

  takenOver({ fingerprint, begunMs }: ControlReading): void {
    this.#fingerprint = fingerprint;
    this.#begunMs = begunMs;
    this.#takenOverMs = this.#clock.monotonicMs();
  }

  /** False if the reading says what is known (then the lease goes on from it), or less than that. */
  isNews(reading: ControlReading): boolean {
    if (reading.begunMs < this.#takenOverMs) return false;
    if (reading.fingerprint !== this.#fingerprint) return true;
    this.#begunMs = reading.begunMs;
    return false;
  }

  /** Errors: `unavailable`. */
  check(): void {
    if (this.#leaseMs === 0) return;
    const ageMs = this.#clock.monotonicMs() - this.#begunMs;
    if (ageMs <= this.#leaseMs) return;
    const text = `control was last read ${Math.round(ageMs)} ms ago; nothing is served by what is older than a lease`;
    throw new NanoError("unavailable", text, { ageMs, leaseMs: this.#leaseMs });
  }
}
