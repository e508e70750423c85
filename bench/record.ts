/** What is kept of a bench's run: bench/results has one or several in each file. */

import type { BenchResult } from "./result.ts";

export interface BenchRecord extends Omit<BenchResult, "plots"> {
  readonly name: string;
  readonly question: string;
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly node: string;
    /** Runnable threads before the bench began. */
    readonly loadBefore: number;
  };
  readonly quick: boolean;
}
