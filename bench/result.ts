/** What a bench answers with: measured rows, and the ratios between them, each value by repeat. Plain data. */

export interface BenchOptions {
  /** Fewer and shorter segments: shows that the bench works, not what the software can do. */
  readonly quick: boolean;
  /** Folder for CPU profiles, one for each thread; benches without threads ignore it. */
  readonly profile: string | undefined;
}

export interface BenchRow {
  readonly name: string;
  readonly unit: string;
  /** One for each repeat, in order. */
  readonly values: readonly number[];
}

export interface BenchRatio {
  /** Of the target in docs/reference/performance.md; the name says which part of it. Default: the bench's name. */
  readonly id?: string;
  readonly name: string;
  /** Of the two rows' values of the same repeat. */
  readonly values: readonly number[];
  readonly target?: { readonly atMost: number } | { readonly atLeast: number };
}

export interface BenchResult {
  readonly rows: readonly BenchRow[];
  readonly ratios: readonly BenchRatio[];
  /** What shows that the measured thing happened, e.g. how many keys were discarded. */
  readonly facts: Readonly<Record<string, number | string>>;
  /** Why the figures answer nothing: the scenario did not happen. Empty if it did. */
  readonly failures: readonly string[];
  /** SVG texts by file name, written beside the record. */
  readonly plots?: Readonly<Record<string, string>>;
}

/** What a `*.bench.ts` exports as `bench`. */
export interface Bench {
  readonly name: string;
  readonly question: string;
  /** Why a quick run without names leaves it out. */
  readonly notQuick?: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

export function ratioOf(name: string, of: BenchRow, to: BenchRow, target?: BenchRatio["target"]): BenchRatio {
  const values = of.values.map((value, i) => value / (to.values[i] ?? Number.NaN));
  return target === undefined ? { name, values } : { name, values, target };
}

/** The ratios as parts of the target `id`. */
export function partsOf(id: string, ratios: readonly BenchRatio[]): BenchRatio[] {
  return ratios.map((ratio) => ({ ...ratio, id }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** True if the median of the repeats meets the target; undefined without one. */
export function meets({ values, target }: BenchRatio): boolean | undefined {
  if (target === undefined) return undefined;
  const value = median(values);
  return "atMost" in target ? value <= target.atMost : value >= target.atLeast;
}

/** One part of a target, as `--json` prints it. */
export interface TargetFigure {
  readonly id: string;
  readonly name: string;
  /** The median of the repeats. */
  readonly value: number;
  readonly target: NonNullable<BenchRatio["target"]>;
  readonly met: boolean;
}

export function targetFigures(benchName: string, ratios: readonly BenchRatio[]): TargetFigure[] {
  return ratios.flatMap((ratio) => {
    const { id = benchName, name, values, target } = ratio;
    if (target === undefined) return [];
    return [{ id, name, value: median(values), target, met: meets(ratio) === true }];
  });
}
