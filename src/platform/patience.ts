/**
 * Whether the reader of a ring that has run dry looks again for a while, or sleeps at once until its writer rings.
 * Looking saves a bell and a wake-up where both threads have a core each; where they have not, it takes from the
 * writer the very core that it needs. No figure of the system tells which is the case, so both are tried and
 * measured: how long nothing came when this reader looked, and when it slept.
 *
 * State: both medians, the latest waits weighing most; what is done in this dry time; when the other way is tried
 * next. Where messages come far apart nothing is tried: an idle system does not look at all.
 */

import { spinLimits } from "../base/limits.ts";

export type SpinLimits = { readonly [Name in keyof typeof spinLimits]: number };

export class Patience {
  readonly #limits: SpinLimits;
  #isDry = false;
  #drySinceMs = 0;
  /** What is done in this dry time. */
  #looks = false;
  #wantsToLook = false;
  /** How long nothing came when it looked, and when it slept. */
  #lookedMs: number;
  #sleptMs: number;
  /** What did better at the last comparison. */
  #prefersLooking = false;
  /** Dry times since the last trial, how many there are between two, how many are left of this one. */
  #dryTimes = 0;
  #trialEvery: number;
  #trialLeft = 0;

  constructor(limits: SpinLimits = spinLimits) {
    this.#limits = limits;
    this.#lookedMs = limits.waitMaxMs;
    this.#sleptMs = limits.waitMaxMs;
    this.#trialEvery = limits.trialEveryMin;
  }

  get isDry(): boolean {
    return this.#isDry;
  }

  /** Whether it would look by its own will. */
  get wantsToLook(): boolean {
    return this.#wantsToLook;
  }

  /**
   * There is nothing: whether to look again. `peerLooks`: the other end does so. Then this one does, too: what looking
   * saves is seen only when both do it.
   */
  dry(nowMs: number, peerLooks: boolean): boolean {
    if (!this.#isDry) {
      this.#isDry = true;
      this.#drySinceMs = nowMs;
      this.#wantsToLook = this.#choose();
      this.#looks = this.#wantsToLook || peerLooks;
    }
    return this.#looks && nowMs - this.#drySinceMs < this.#limits.lookMs;
  }

  /** Something came after a dry time. */
  came(nowMs: number): void {
    this.#isDry = false;
    const waitMs = nowMs - this.#drySinceMs;
    if (this.#looks) this.#lookedMs = this.#moved(this.#lookedMs, waitMs);
    else this.#sleptMs = this.#moved(this.#sleptMs, waitMs);
  }

  /** A median that moves by a share of itself: one wait of milliseconds among many short ones does not count more. */
  #moved(medianMs: number, waitMs: number): number {
    const { step, waitMaxMs } = this.#limits;
    return waitMs < medianMs ? medianMs * (1 - step) : Math.min(waitMaxMs, medianMs * (1 + step));
  }

  #choose(): boolean {
    const { lookMs, gain, trialDryTimes, trialEveryMin, trialEveryMax } = this.#limits;
    if (this.#trialLeft > 0) {
      this.#trialLeft--;
      return !this.#prefersLooking;
    }
    // Even a wake-up in it does not explain so long a wait: looking would be for nothing.
    const isSlow = this.#sleptMs > 2 * lookMs && this.#lookedMs > lookMs;
    const pays = !isSlow && this.#lookedMs < gain * this.#sleptMs;
    if (pays !== this.#prefersLooking) this.#trialEvery = trialEveryMin;
    this.#prefersLooking = pays;
    if (isSlow || ++this.#dryTimes < this.#trialEvery) return pays;
    this.#dryTimes = 0;
    this.#trialEvery = Math.min(trialEveryMax, this.#trialEvery * 2);
    this.#trialLeft = trialDryTimes - 1;
    return !pays;
  }
}
