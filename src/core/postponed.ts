/**
 * How a factory's worker hands a job back that it can't do for now, because what the job needs is closed for a while.
 * The worker is free for other jobs meanwhile; the job stays the next one of its key. Pure.
 */

import { type ErrorData, NanoError } from "../base/errors.ts";
import { formatPid } from "./pid.ts";
import type { Self } from "./self.ts";

export interface Postponed {
  /** Jobs of one group wait for the same thing: once one of them is done, all others are tried. */
  readonly group: string;
  /** After which one job of the group is tried again, ms. */
  readonly afterMs: number;
}

/**
 * What a worker's handler throws when nothing of the job was done: the factory gives the job to a worker again, later.
 * Whoever called the worker itself gets the error.
 */
export function postpone(self: Pick<Self, "pid">, { group, afterMs }: Postponed, why: NanoError): NanoError {
  const details = { ...why.details, untakenBy: formatPid(self.pid), postponed: { group, afterMs } };
  return new NanoError(why.code, why.message, details);
}

export function postponedBy({ details }: ErrorData): Postponed | undefined {
  return details?.postponed as Postponed | undefined;
}
