/** What the benches' figures rest on: arrivals, ratios, verdicts, the workload's spread. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { figuresOf, newestRecords, withFigures } from "../../bench/figures.ts";
import { interleaved } from "../../bench/interleaved.ts";
import { selfTimes } from "../../bench/profiler.ts";
import { type BenchRow, median, meets, partsOf, ratioOf, targetFigures } from "../../bench/result.ts";
import { closedLoop, openLoop, writeAt } from "../../bench/workload.ts";

const row = (values: number[]): BenchRow => ({ name: "", unit: "", values });

it("a stall of the target is seen by every write that was due meanwhile, not only by the one that waited", async () => {
  let first = true;
  const { latency, sent, failed } = await openLoop(
    async () => {
      if (!first) return;
      first = false;
      const until = performance.now() + 60;
      while (performance.now() < until);
    },
    { perSecond: 2_000, ms: 100, first: 0 },
  );
  expect(failed).toBe(0);
  expect(latency.totalCount).toBe(sent);
  // About 120 arrivals fall into the stall, spread evenly: half of them waited for more than half of it.
  expect(latency.getValueAtPercentile(90)).toBeGreaterThan(20_000);
});

it("a failed write is counted and has no latency", async () => {
  const refuse = (): Promise<unknown> => Promise.reject(new Error("refused"));
  const { latency, sent, failed } = await openLoop(refuse, { perSecond: 1_000, ms: 20, first: 0 });
  expect(failed).toBe(sent);
  expect(latency.totalCount).toBe(0);
});

it("a closed loop never has more outstanding than it was told", async () => {
  let running = 0;
  let most = 0;
  const target = async (): Promise<void> => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  await closedLoop(target, { outstanding: 7, ms: 20, first: 0 });
  expect(most).toBe(7);
});

it("a round of the workload writes each row once, and each user in every backend", () => {
  const round = 200_000;
  const rows = new Set<string>();
  const backendsOfOne = new Set<string>();
  const { key: one } = writeAt(0).message;
  for (let n = 0; n < round; n++) {
    const { backend, message } = writeAt(n);
    rows.add(`${backend} ${message.key} ${message.member ?? ""}`);
    if (message.key === one) backendsOfOne.add(backend);
  }
  expect(rows.size).toBe(round);
  expect([...backendsOfOne].sort()).toEqual(["blocklist", "device_platform", "groups", "profile_picture"]);
});

it("ratios pair the values of one repeat, and the median decides about the target", () => {
  const ratio = ratioOf("", row([10, 40, 90]), row([10, 20, 30]), { atMost: 2 });
  expect(ratio.values).toEqual([1, 2, 3]);
  expect(meets(ratio)).toBe(true);
  expect(meets({ ...ratio, target: { atMost: 1.9 } })).toBe(false);
  expect(meets({ ...ratio, target: { atLeast: 2.1 } })).toBe(false);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

it("a profile's shares are of the whole time, the same function of two call sites counted as one", () => {
  const frame = (functionName: string) => ({ functionName, url: "file:///a/b.js", lineNumber: 1 });
  const nodes = [
    { id: 1, callFrame: frame("busy") },
    { id: 2, callFrame: frame("busy") },
    { id: 3, callFrame: frame("rare") },
  ];
  const times = selfTimes({ nodes, samples: [1, 2, 3, 1], timeDeltas: [10, 20, 40, 30] });
  expect(times.map(({ name, share }) => [name, share])).toEqual([
    ["busy", 0.6],
    ["rare", 0.4],
  ]);
});

it("each repeat measures every contender once, and begins with the next one", async () => {
  const order: string[] = [];
  const contender = (name: string) => async () => order.push(name);
  const question = { name: "pace", unit: "calls/s", repeats: 3 };
  const rows = await interleaved(question, { a: contender("a"), b: contender("b"), c: contender("c") });
  expect(order.slice(-9).join("")).toBe("abcbcacab");
  expect(rows.b).toEqual({
    name: "pace: b",
    unit: "calls/s",
    values: [order.length - 7, order.length - 5, order.length],
  });
});

it("a target is told by its id, or by its bench's name, with the median and whether that meets it", () => {
  const met = ratioOf("met", row([1, 9, 5]), row([1, 1, 1]), { atLeast: 5 });
  const missed = ratioOf("missed", row([2]), row([1]), { atMost: 1.5 });
  const without = ratioOf("without", row([1]), row([1]));
  expect(targetFigures("a_bench", [...partsOf("P1", [met, without]), missed])).toEqual([
    { id: "P1", name: "met", value: 5, target: { atLeast: 5 }, met: true },
    { id: "a_bench", name: "missed", value: 2, target: { atMost: 1.5 }, met: false },
  ]);
});

it("the page about performance shows the figures of the newest results", () => {
  const project = new URL("../../../", import.meta.url);
  const page = readFileSync(new URL("docs/reference/performance.md", project), "utf8");
  const records = newestRecords(fileURLToPath(new URL("bench/results", project)));
  expect(records.length).toBeGreaterThan(3);
  expect(page).toBe(withFigures(page, figuresOf(records)));
});

it("a figure is a median with its spread beside its target, and says whether it is met", () => {
  const ratios = [
    { id: "P1", name: "cost", values: [3, 9, 4], target: { atMost: 4 } },
    { id: "P1", name: "rate", values: [0.5], target: { atLeast: 0.6 } },
    { name: "no target", values: [1] },
  ];
  const machine = { cpu: "a cpu", cores: 2, node: "20.1.0", loadBefore: 0.04 };
  const record = {
    name: "b",
    question: "",
    date: "2026-01-02",
    machine,
    quick: false,
    rows: [],
    ratios,
    facts: {},
    failures: [],
  };
  expect(figuresOf([record]).split("\n").slice(2)).toEqual([
    "| P1 | cost | 4.0 (3.0 to 9.0) | at most 4 | met |",
    "| P1 | rate | 0.50 (0.50 to 0.50) | at least 0.6 | missed |",
    "",
    "- `b`: 2026-01-02, a cpu, 2 cores, Node 20.1.0, 0.0 runnable before",
  ]);
});
