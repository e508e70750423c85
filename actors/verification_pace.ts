/** How fast comparisons under a block were, from which the next read-only time is predicted. */

import { dataLimits } from "./limits.ts";
import { noPace, notePace, paceOf } from "./send_pace.ts";

/** How long comparisons under a block took, over the moves of this coordinator's life. */
export class VerificationPace {
  #sums = noPace;

  verified(keys: number, ms: number): void {
    this.#sums = notePace(this.#sums, keys, ms);
  }

  /** Of so many keys; before the first one what is assumed of a row. */
  verifyMs(keys: number): number {
    const { roundTripMs, perRowMs } = paceOf(this.#sums) ?? {
      roundTripMs: 0,
      perRowMs: dataLimits.unmeasuredRowMs,
    };
    return roundTripMs + perRowMs * keys;
  }
}
