/** When a thread that died is replaced. Pure. */

import type { threadLimits } from "../base/limits.ts";

type Names = "replaceDelayMs" | "replaceDelayMaxMs" | "replaceJitter";

/**
 * `shortLives`: how many lives in a row were short, the last one included. No delay after the first; then it doubles
 * up to a bound, less a part that `chance` in [0, 1) draws.
 */
export function replacementDelayMs(
  shortLives: number,
  limits: Pick<{ readonly [Name in keyof typeof threadLimits]: number }, Names>,
  chance: number,
): number {
  if (shortLives <= 1) return 0;
  const fullMs = Math.min(limits.replaceDelayMs * 2 ** (shortLives - 2), limits.replaceDelayMaxMs);
  return fullMs * (1 - limits.replaceJitter * chance);
}
