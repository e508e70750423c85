/**
 * A scenario under many seeds, for tests of actors: each seed is another order of what happens at once, other delays
 * and other draws. A seed that fails is named, with what plays exactly it again and the end of its trace. A share of
 * the seeds is played twice and must leave the same trace, or what failed once could not be played again.
 *
 * The environment variable NANOACTOR_SEED narrows every `simulate` of a process to that one seed.
 */

import { assert } from "../base/assert.ts";
import { simulationLimits } from "./limits.ts";
import { type Played, playSeed, type World } from "./simulate.ts";
import { type Order, SimulationError } from "./timeline.ts";

export interface SimulateOptions {
  /** How many, from 1. Default: 100. */
  readonly seeds?: number;
  /** The first one, an integer. Default: 1. */
  readonly from?: number;
  /** See `SimulationOptions.order`. Default: all of them in turn, by the seed. */
  readonly order?: Order;
  /** Which share of the seeds is played twice, from 0 to 1; the first is, unless it is 0. Default: 0.05. */
  readonly twiceShare?: number;
  /** The command that runs this test, for the report of a failure. Default: `npx vitest run`. */
  readonly command?: string;
  /** The world's wall clock at the beginning, ms since 1970. */
  readonly startMs?: number;
}

export interface SimulateReport<T> {
  /** What the scenario returned, by seed: to check that what it should meet was met. */
  readonly results: ReadonlyMap<number, T>;
  readonly playedTwice: number;
  readonly events: number;
  readonly virtualMs: number;
}

/** A seed has failed: `cause` is what the scenario threw. */
export class SeedError extends Error {
  override readonly name = "SeedError";
  readonly seed: number;
  readonly order: Order;
  /** Its last events, a line each, the oldest first. */
  readonly trace: readonly string[];

  constructor(
    message: string,
    of: { readonly seed: number; readonly order: Order; readonly trace: readonly string[] },
    cause: unknown,
  ) {
    super(message, { cause });
    this.seed = of.seed;
    this.order = of.order;
    this.trace = of.trace;
  }
}

const orders: readonly Order[] = ["fifo", "random", "pct"];

/** Plays `scenario` for each seed. Rejects with `SeedError` at the first that fails, or that is not the same again. */
export async function simulate<T>(
  scenario: (world: World) => Promise<T>,
  options: SimulateOptions = {},
): Promise<SimulateReport<T>> {
  const { twiceShare = simulationLimits.twiceShare } = options;
  assert(twiceShare >= 0 && twiceShare <= 1, "twiceShare is from 0 to 1");
  const isPlayedTwice = (index: number): boolean =>
    twiceShare > 0 && index % Math.round(1 / twiceShare) === 0;
  const results = new Map<number, T>();
  const sum = { playedTwice: 0, events: 0, virtualMs: 0 };
  for (const [index, seed] of seedsOf(options).entries()) {
    const order = options.order ?? (orders[Math.abs(seed) % orders.length] as Order);
    const settings = { seed, order, ...(options.startMs === undefined ? {} : { startMs: options.startMs }) };
    const first = await playSeed(settings, scenario);
    if (isPlayedTwice(index)) {
      assertSame(first, await playSeed(settings, scenario), options);
      sum.playedTwice++;
    }
    if (!first.outcome.ok) throw failure(first, options);
    results.set(seed, first.outcome.value);
    sum.events += first.world.timeline.events;
    sum.virtualMs += first.world.nowMs;
  }
  return { results, ...sum };
}

function seedsOf({ seeds = simulationLimits.seeds, from = 1 }: SimulateOptions): number[] {
  const only = process.env.NANOACTOR_SEED;
  if (only !== undefined && only !== "") {
    assert(Number.isSafeInteger(Number(only)), `NANOACTOR_SEED is an integer, not ${only}`);
    return [Number(only)];
  }
  assert(Number.isSafeInteger(seeds) && seeds >= 1, "there is one seed at least");
  assert(Number.isSafeInteger(from), "a seed is an integer");
  return Array.from({ length: seeds }, (_, index) => from + index);
}

function failure<T>(played: Played<T>, options: SimulateOptions): SeedError {
  const { outcome } = played;
  const error = outcome.ok ? undefined : outcome.error;
  const trace = played.world.timeline.trace.lines();
  const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  // The simulator's own errors end with the trace.
  const end = error instanceof SimulationError ? "" : `\nits last events:\n${indented(trace)}`;
  return new SeedError(
    `${headOf(played)} fails: ${why}\n${replayOf(played, options)}${end}`,
    of(played),
    error,
  );
}

function assertSame<T>(first: Played<T>, second: Played<T>, options: SimulateOptions): void {
  const [one, other] = [first.world.timeline, second.world.timeline];
  if (one.trace.hash() === other.trace.hash() && first.outcome.ok === second.outcome.ok) return;
  const why =
    "was played twice and did not do the same: something in it depends on more than the seed (a real clock, " +
    "real chance, what an earlier play left behind)";
  const ends = [
    `the first play ended, after ${one.events} events, with:\n${indented(one.trace.lines())}`,
    `the second play ended, after ${other.events} events, with:\n${indented(other.trace.lines())}`,
  ];
  const message = [`${headOf(first)} ${why}`, replayOf(first, options), ...ends].join("\n");
  const failed = [first, second].find(({ outcome }) => !outcome.ok)?.outcome;
  throw new SeedError(message, of(first), failed?.ok === false ? failed.error : undefined);
}

function of({ seed, world }: Played<unknown>): Pick<SeedError, "seed" | "order" | "trace"> {
  return { seed, order: world.timeline.order, trace: world.timeline.trace.lines() };
}

function headOf({ seed, world }: Played<unknown>): string {
  return `seed ${seed} (order ${world.timeline.order})`;
}

function replayOf({ seed, world }: Played<unknown>, { command = "npx vitest run" }: SimulateOptions): string {
  const option = `{ from: ${seed}, seeds: 1, order: "${world.timeline.order}" }`;
  return `play it again: NANOACTOR_SEED=${seed} ${command}, or simulate(scenario, ${option})`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}
