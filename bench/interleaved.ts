/**
 * How contenders are measured beside each other: all are warmed up, then each repeat measures every one once, and the
 * order moves on by one with each repeat. What other work takes of the machine then hits all of them alike.
 */

import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { BenchRow } from "./result.ts";

export interface Question {
  readonly name: string;
  readonly unit: string;
  readonly repeats: number;
}

/** Answers one figure of the question's unit. */
export type Measure = () => Promise<number>;

/** Compilers work beside the code, and get little of a busy machine. */
const warmUps = 2;

/** The row of each contender, called `<question>: <contender>`. */
export async function interleaved<Name extends string>(
  { name: question, unit, repeats }: Question,
  measures: Readonly<Record<Name, Measure>>,
): Promise<Record<Name, BenchRow>> {
  const contenders = Object.entries(measures) as [Name, Measure][];
  const values = new Map<Name, number[]>(contenders.map(([name]) => [name, []]));
  for (let warmUp = 0; warmUp < warmUps; warmUp++) for (const [, measure] of contenders) await measure();
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (let i = 0; i < contenders.length; i++) {
      const [name, measure] = contenders[(repeat + i) % contenders.length] ?? [];
      if (name === undefined || measure === undefined) continue;
      // No collection before it, though it begins with the garbage of the one before: a forced one also shrinks the
      // young generation, and what allocates would take a good part of its time until that has grown again.
      await turn();
      values.get(name)?.push(await measure());
    }
  }
  const rows = contenders.map(([name]): [Name, BenchRow] => [
    name,
    { name: `${question}: ${name}`, unit, values: values.get(name) ?? [] },
  ]);
  return Object.fromEntries(rows) as Record<Name, BenchRow>;
}

/** By contender. */
export type Rows = Readonly<Record<string, BenchRow>>;

/** Of a contender that was measured. */
export function rowOf(rows: Rows, name: string): BenchRow {
  const row = rows[name];
  if (row === undefined) throw new Error(`${name} was not measured`);
  return row;
}

let collect: (() => void) | undefined;

export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
}

/**
 * Makes so many calls, one after the other. Each contender writes this loop itself: in a loop of all, the compiler
 * would see many functions at one place, and the cheapest of them would pay most for that.
 */
export type Caller = (calls: number) => Promise<unknown>;

/** Between two looks at the clock. */
const callsPerRound = 2_000;

/** Calls per second of `callers` beside each other, over about `ms`. */
export async function callsPerSecond(
  caller: Caller,
  { callers, ms }: { readonly callers: number; readonly ms: number },
): Promise<number> {
  const each = callsPerRound / callers;
  const startedAt = performance.now();
  let calls = 0;
  let tookMs = 0;
  while (tookMs < ms) {
    await Promise.all(Array.from({ length: callers }, () => caller(each)));
    calls += each * callers;
    tookMs = performance.now() - startedAt;
  }
  return (calls * 1_000) / tookMs;
}
