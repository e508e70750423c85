/**
 * How long is a prefix read-only while it fails over, and what does that depend on? Prefixes of several sizes, on LMDB,
 * compared whole before each move; then so many of their keys are written while nothing is sent, so that they are dirty
 * when the prediction is made and the block begins. They drain under the block at the product's own repair rate. Each
 * move goes to the other side: reversals are the same work.
 *
 * Prediction and measurement come from the move's own report. Keys and versions are written into both sides' stores
 * before the system starts: how a million rows got there is not the question.
 */

import type { MoveReport } from "../actors/db_failover.ts";
import { db_replay } from "../actors/db_replay.ts";
import { defaultTuning, shardProcess } from "../actors/shard_options.ts";
import { hooked_failover, hooks } from "./hooked_failover.ts";
import { backend, keyOf, loadStores, rowValue } from "./loaded_stores.ts";
import { logPlot } from "./plot.ts";
import { type Bench, type BenchOptions, type BenchResult, type BenchRow, median } from "./result.ts";
import { shards, startTwoSites, type TwoSites } from "./two_sites.ts";

export const bench: Bench = {
  name: "failover",
  question: "How long is a prefix read-only, and does that grow with its dirty keys or with its keys?",
  notQuick: "half a minute",
  run,
};

const prefix = "+49";
const outstanding = 256;

/** All writes go to replay at once, as after an outage; the copy of what is equal anyway is quick. */
const tuning = { queueMax: 0, crawlRowsPerSecond: 1_000_000, crawlBatchMax: 2_048 };

const manyDirty = 1_000;

/** A user notices a pause of this length. */
const nearlyNothingMs = 2_000;

interface Moved {
  readonly keys: number;
  readonly wanted: number;
  readonly report: MoveReport;
}

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const sizes = quick ? [2_000, 20_000] : [100_000, 1_000_000];
  const repeats = quick ? 1 : 2;
  const moves: Moved[] = [];
  for (const keys of sizes) {
    // 0, a ten-thousandth, a thousandth, a hundredth; the same counts for both sizes overlap.
    const dirty = [0, keys / 10_000, keys / 1_000, keys / 100].map(Math.round);
    moves.push(...(await moveAll(keys, [...new Set(dirty)], repeats)));
  }
  return resultOf(moves);
}

async function moveAll(keys: number, dirty: readonly number[], repeats: number): Promise<Moved[]> {
  const two = await startTwoSites(tuning, {
    prepare: (directory) => loadStores(directory, { sites: ["A", "B"], shards, keys }),
    replacedCoordinators: { db_failover: hooked_failover },
  });
  try {
    await two.goLive();
    const moves: Moved[] = [];
    let at: "A" | "B" = "A";
    const move = async (wanted: number): Promise<MoveReport> => {
      const from = at;
      hooks.compared = once(() => makeDirty(two, from, { keys, count: wanted }));
      const report = await two.sites.move(prefix, from === "A" ? "B" : "A");
      if (report.outcome !== "swapped") throw new Error(`the move was ${report.outcome}: ${report.reason}`);
      at = from === "A" ? "B" : "A";
      await two.settled();
      return report;
    };
    // Once each way: code is compiled, and each side's senders have a pace.
    for (let i = 0; i < 2; i++) await move(1_000);
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const wanted of dirty) moves.push({ keys, wanted, report: await move(wanted) });
    }
    return moves;
  } finally {
    hooks.compared = async () => undefined;
    await two.remove();
  }
}

/** One run for all who ask. */
function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= work();
    return running;
  };
}

/** Writes `count` keys spread over the prefix while the side's repairs stand still. */
async function makeDirty(
  two: TwoSites,
  site: "A" | "B",
  { keys, count }: { readonly keys: number; readonly count: number },
): Promise<void> {
  const access = two.access.get(backend);
  if (access === undefined) throw new Error(`no backend ${backend}`);
  await setRepairs(two, site, 0);
  const step = count === 0 ? 0 : Math.floor(keys / count);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      await access.run("put", { key: keyOf(n * step), value: rowValue(n) });
    }
  };
  await Promise.all(Array.from({ length: outstanding }, lane));
  await setRepairs(two, site, defaultTuning.repairsPerSecond);
}

async function setRepairs(two: TwoSites, site: string, repairs: number): Promise<void> {
  for (let shard = 0; shard < shards; shard++) {
    const replay = two.system.ref(db_replay, shardProcess(site, shard, "db_replay"));
    await replay.call.setRate({ repairs, crawl: tuning.crawlRowsPerSecond });
  }
}

function resultOf(moves: readonly Moved[]): BenchResult {
  const kinds = new Map<string, Moved[]>();
  for (const move of moves) {
    const name = `${count(move.keys)} keys, ${count(move.wanted)} dirty`;
    kinds.set(name, [...(kinds.get(name) ?? []), move]);
  }
  const row = (name: string, of: (report: MoveReport) => number): BenchRow => ({
    name,
    unit: "ms",
    values: (kinds.get(name) ?? []).map(({ report }) => of(report)),
  });
  const names = [...kinds.keys()];
  const ratios = names.flatMap((name) => {
    const values = (kinds.get(name) ?? []).map(
      ({ report }) => report.predictedReadOnlyMs / report.readOnlyMs,
    );
    return [
      { name: `predicted / real, ${name}`, values, target: { atMost: 2 } },
      { name: `predicted / real, ${name} (again)`, values, target: { atLeast: 0.5 } },
    ];
  });
  const failures = moves.flatMap(({ wanted, report }) =>
    // Few keys are sent within the moment until the prediction; many are there when it is made.
    wanted >= manyDirty && report.dirty < wanted / 2
      ? [`${wanted} keys were to be dirty, ${report.dirty} were`]
      : [],
  );
  const [small, large] = [...new Set(moves.map(({ keys }) => keys))];
  const idle = moves.filter(({ keys, wanted }) => keys === large && wanted <= keys / 10_000);
  return {
    rows: names.flatMap((name) => [
      row(name, (report) => report.readOnlyMs),
      { ...row(name, (report) => report.predictedReadOnlyMs), name: `predicted: ${name}` },
    ]),
    ratios,
    facts: {
      [`read-only, ${count(large ?? 0)} keys and nearly nothing dirty, ms (target ${nearlyNothingMs})`]:
        Math.round(median(idle.map(({ report }) => report.readOnlyMs))),
      "ms for ten times the keys, the same dirty keys": comparison(moves, small ?? 0, large ?? 0),
      "keys compared again under the block, most": Math.max(...moves.map(({ report }) => report.verified)),
    },
    failures,
    plots: { "failover.svg": plotOf(moves) },
  };
}

/** Read-only times of both sizes where both had as many dirty keys. */
function comparison(moves: readonly Moved[], small: number, large: number): string {
  const of = (keys: number, wanted: number): number =>
    median(
      moves
        .filter((each) => each.keys === keys && each.wanted === wanted)
        .map(({ report }) => report.readOnlyMs),
    );
  const shared = [...new Set(moves.map(({ wanted }) => wanted))].filter(
    (wanted) => !Number.isNaN(of(small, wanted)) && !Number.isNaN(of(large, wanted)),
  );
  return shared
    .map(
      (wanted) =>
        `${count(wanted)} dirty: ${Math.round(of(small, wanted))} and ${Math.round(of(large, wanted))}`,
    )
    .join("; ");
}

function plotOf(moves: readonly Moved[]): string {
  const sizes = [...new Set(moves.map(({ keys }) => keys))];
  const series = sizes.flatMap((keys) => {
    const own = moves.filter((move) => move.keys === keys);
    const points = (of: (report: MoveReport) => number) =>
      own.map(({ wanted, report }) => ({ x: wanted, y: of(report) }));
    return [
      { name: `${count(keys)} keys`, points: points((report) => report.readOnlyMs) },
      { name: `${count(keys)} keys, predicted`, points: points((report) => report.predictedReadOnlyMs) },
    ];
  });
  return logPlot({
    title: "A prefix fails over: read-only time grows with its dirty keys, not with its keys",
    xName: "keys made dirty just before the block (0 stands at 1)",
    yName: "read-only, ms",
    series,
  });
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}
