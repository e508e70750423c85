/**
 * How fast batches reach the peer, as measured: a straight line through the newest batches, `ms = roundTrip + rows *
 * perRow`, by least squares with weights that halve every 35 batches. Where batches differ little in size the line's
 * slope would be noise: it is drawn towards what is assumed of a row (ridge regression with that as its centre). Pure.
 */

import { dataLimits } from "./limits.ts";

/** Weighted sums of batches, plain data: those of several senders add up. */
export interface PaceSums {
  readonly weight: number;
  readonly rows: number;
  readonly ms: number;
  readonly rowsSquared: number;
  readonly rowsTimesMs: number;
}

export interface Pace {
  readonly roundTripMs: number;
  readonly perRowMs: number;
}

export const noPace: PaceSums = { weight: 0, rows: 0, ms: 0, rowsSquared: 0, rowsTimesMs: 0 };

/** What a batch weighs after the next one: 0.98 to the 35th is a half. */
const keep = 0.98;

export function notePace(sums: PaceSums, rows: number, ms: number): PaceSums {
  return {
    weight: sums.weight * keep + 1,
    rows: sums.rows * keep + rows,
    ms: sums.ms * keep + ms,
    rowsSquared: sums.rowsSquared * keep + rows * rows,
    rowsTimesMs: sums.rowsTimesMs * keep + rows * ms,
  };
}

export function addPaces(all: readonly PaceSums[]): PaceSums {
  return all.reduce(
    (a, b) => ({
      weight: a.weight + b.weight,
      rows: a.rows + b.rows,
      ms: a.ms + b.ms,
      rowsSquared: a.rowsSquared + b.rowsSquared,
      rowsTimesMs: a.rowsTimesMs + b.rowsTimesMs,
    }),
    noPace,
  );
}

/** The assumption weighs as much as one batch that is this many rows larger than the others. */
const assumedRows = 100;

/** Undefined before anything was measured. */
export function paceOf({ weight, rows, ms, rowsSquared, rowsTimesMs }: PaceSums): Pace | undefined {
  if (weight <= 0) return undefined;
  const spread = rowsSquared - (rows * rows) / weight + assumedRows ** 2;
  const together = rowsTimesMs - (rows * ms) / weight + assumedRows ** 2 * dataLimits.unmeasuredRowMs;
  // Neither part is negative, and both together give the mean.
  const perRowMs = rows === 0 ? 0 : Math.min(Math.max(0, together / spread), ms / rows);
  return { roundTripMs: (ms - perRowMs * rows) / weight, perRowMs };
}
