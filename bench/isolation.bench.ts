/**
 * Does local write latency move when the remote slows? Four segments in turn, repeated: without a remote (a second
 * pair of sites whose cohorts are `off`: nothing is marked or sent), with a healthy one, with one that is 2 s slower,
 * and while it catches up. The same arrivals in all four: 70 % of the capacity with a healthy remote, found before.
 *
 * The queue and the ledger are small, so that the slow segment goes through all of it: sends time out, the breaker
 * opens, the queue overflows to replay, and the full ledger becomes ranges that the crawler repairs afterwards. If
 * any of that did not happen the bench fails.
 */

import type { Histogram } from "hdr-histogram-js";
import { calm } from "../app/system/fault_link.ts";
import { profiled } from "./profiler.ts";
import { type Bench, type BenchOptions, type BenchResult, type BenchRow, median, ratioOf } from "./result.ts";
import { type SiteStatistics, startTwoSites, type TwoSites } from "./two_sites.ts";
import { closedLoop, openLoop, perform, writeAt } from "./workload.ts";

export const bench: Bench = {
  name: "isolation",
  question: "Does local write latency move when the remote slows by 2 s?",
  notQuick: "most of a minute",
  run,
};

const outstanding = 512;
const loadShare = 0.7;
const slowMs = 2_000;

/** A write takes 10 to 30 ms at this load; a median above this is a queue that grew, and its round says little. */
const overloadedMs = 100;

const tuning = {
  // About 4,400 marks: full within a few seconds.
  ledgerBytesMax: 1024 * 1024,
  queueMax: 500,
  // Repairs are tried again soon, so that a segment begins with nothing left of the one before.
  backoffMaxMs: 1_000,
};

const segments = ["off", "healthy", "slow", "recovering"] as const;
type Segment = (typeof segments)[number];

const titles: Readonly<Record<Segment, string>> = {
  off: "(a) no remote",
  healthy: "(b) healthy remote",
  slow: "(c) remote 2 s slower",
  recovering: "(d) remote back, repairs",
};

const percentiles = [50, 99, 99.9] as const;

interface Seen {
  discarded: number;
  overflowRanges: number;
  delayed: number;
  crawlSent: number;
  failed: number;
  settleMs: number;
}

async function run({ quick, profile }: BenchOptions): Promise<BenchResult> {
  const ms = quick ? 4_000 : 8_000;
  const repeats = quick ? 1 : 4;
  const off = await startTwoSites(tuning);
  const live = await startTwoSites(tuning);
  try {
    await live.goLive();
    const offLoad = new Load(off);
    const liveLoad = new Load(live);
    // Twice: what is compiled and grown by the first counts no more in the second.
    await offLoad.capacity(ms);
    await liveLoad.capacity(ms);
    const capacities: number[] = [];
    const measured = new Map<Segment, Histogram[]>(segments.map((segment) => [segment, []]));
    const seen: Seen[] = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Each round anew: what other work leaves of the machine changes within minutes.
      const capacity = await liveLoad.capacity(ms / 2);
      await live.settled();
      capacities.push(capacity);
      const perSecond = capacity * loadShare;
      const round = await oneRound({ off: offLoad, live: liveLoad }, live, { perSecond, ms });
      for (const segment of segments) measured.get(segment)?.push(round.latency[segment]);
      seen.push(round.seen);
    }
    if (profile !== undefined) {
      const perSecond = median(capacities) * loadShare;
      await profiledRound(liveLoad, live, { perSecond, ms, folder: profile });
    }
    return resultOf(capacities, measured, seen);
  } finally {
    await live.remove();
    await off.remove();
  }
}

/** Goes on where the last segment of its pair ended, so that keys recur evenly. */
class Load {
  readonly #write: (n: number) => Promise<unknown>;
  #next = 0;

  constructor(two: TwoSites) {
    this.#write = (n) => perform(two, writeAt(n));
  }

  async capacity(ms: number): Promise<number> {
    const { done, seconds } = await closedLoop(this.#write, { outstanding, ms, first: this.#next });
    this.#next += done + outstanding;
    return done / seconds;
  }

  async open(options: { readonly perSecond: number; readonly ms: number }) {
    const result = await openLoop(this.#write, { ...options, first: this.#next });
    this.#next += result.sent;
    return result;
  }
}

async function oneRound(
  loads: { readonly off: Load; readonly live: Load },
  live: TwoSites,
  options: { readonly perSecond: number; readonly ms: number },
): Promise<{ latency: Record<Segment, Histogram>; seen: Seen }> {
  const off = await loads.off.open(options);
  const healthy = await loads.live.open(options);
  await live.settled();
  const before = await live.statistics();
  const delayedBefore = await live.delayed();
  await live.setLink({ ...calm, delayMs: slowMs });
  const slow = await loads.live.open(options);
  const slowed = await live.statistics();
  const delayed = (await live.delayed()) - delayedBefore;
  await live.setLink(calm);
  const startedAt = performance.now();
  const recovering = await loads.live.open(options);
  await live.settled();
  const settleMs = performance.now() - startedAt;
  const after = await live.statistics();
  const latency = {
    off: off.latency,
    healthy: healthy.latency,
    slow: slow.latency,
    recovering: recovering.latency,
  };
  const failed = [off, healthy, slow, recovering].reduce((sum, each) => sum + each.failed, 0);
  return { latency, seen: { ...difference(before, slowed, after), delayed, failed, settleMs } };
}

/** The live segments once more, each with a profile of its own. */
async function profiledRound(
  load: Load,
  live: TwoSites,
  { folder, ...options }: { readonly folder: string; readonly perSecond: number; readonly ms: number },
): Promise<void> {
  for (const title of ["healthy", "slow", "recovering"] as const) {
    await live.setLink(title === "slow" ? { ...calm, delayMs: slowMs } : calm);
    const unitsOf = ({ sent }: { readonly sent: number }): number => sent;
    await profiled(live.system, { folder, title, unitsOf }, () => load.open(options));
  }
  await live.settled();
}

function difference(before: SiteStatistics, slowed: SiteStatistics, after: SiteStatistics) {
  return {
    discarded: slowed.discarded - before.discarded,
    overflowRanges: slowed.overflowRanges,
    crawlSent: after.crawlSent - before.crawlSent,
  };
}

function resultOf(
  capacities: readonly number[],
  measured: ReadonlyMap<Segment, readonly Histogram[]>,
  seen: readonly Seen[],
): BenchResult {
  const row = (segment: Segment, percentile: number): BenchRow => ({
    name: `p${percentile} ${titles[segment]}`,
    unit: "ms",
    values: (measured.get(segment) ?? []).map((each) => each.getValueAtPercentile(percentile) / 1_000),
  });
  const ratio = (segment: Segment, target?: { readonly atMost: number }) =>
    ratioOf(`p99 of ${titles[segment]} / (a)`, row(segment, 99), row("off", 99), target);
  const of = (name: keyof Seen): string => seen.map((each) => Math.round(each[name])).join(", ");
  const overloaded = row("off", 50).values.filter((p50) => p50 > overloadedMs).length;
  const failures: string[] = [];
  const must = (name: keyof Seen, text: string): void => {
    if (!seen.every((each) => each[name] > 0)) failures.push(`${text}: ${of(name)}`);
  };
  must("delayed", "no request was slowed");
  must("discarded", "the queue never overflowed");
  must("overflowRanges", "the ledger never overflowed into a range");
  must("crawlSent", "the crawler repaired nothing");
  return {
    rows: percentiles.flatMap((percentile) => segments.map((segment) => row(segment, percentile))),
    ratios: [ratio("healthy"), ratio("slow", { atMost: 1.5 }), ratio("recovering")],
    facts: {
      "capacity with a healthy remote, writes/s": capacities.map(Math.round).join(", "),
      "arrivals/s": capacities.map((capacity) => Math.round(capacity * loadShare)).join(", "),
      "rounds that were overloaded without a remote (other work on the machine)": overloaded,
      "keys discarded by the full queue": of("discarded"),
      "overflow ranges at the end of the slow segment": of("overflowRanges"),
      "slowed requests": of("delayed"),
      "rows that the crawler sent": of("crawlSent"),
      "ms from the remote's return until nothing is dirty": of("settleMs"),
      "failed writes": of("failed"),
    },
    failures,
  };
}
