/** Asking processes that may be restarting just now: a thread was killed, say, when the traffic ended. */

import { type ErrorCode, hasCode } from "../../src/index.ts";

/** A killed thread and everything on it is back long before. */
const restartMsMax = 10_000;
const pauseMs = 50;

/** Asked again while a process restarts: what is only read is the same then. Errors: the last one, after `withinMs`. */
export async function answered<T>(ask: () => Promise<T>, withinMs: number = restartMsMax): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isOfRestart(error) || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** What a call to a process that restarts fails with. */
export function isOfRestart(error: unknown): boolean {
  const codes: readonly ErrorCode[] = ["noproc", "crashed", "timeout"];
  return codes.some((code) => hasCode(error, code));
}
