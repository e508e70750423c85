/**
 * What does a local read through db_module cost against a bare LMDB get? With the caller on another thread than the
 * shards, and with everything on one; 1,000 in flight. The bare get reads the same rows of one environment, key after
 * key, and decodes nothing.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rowKey } from "../actors/records.ts";
import { interleaved } from "./interleaved.ts";
import { backend, keyOf, loadStores, openBareRows, valueBytes } from "./loaded_stores.ts";
import { profiled } from "./profiler.ts";
import { type Bench, type BenchOptions, type BenchResult, partsOf, ratioOf } from "./result.ts";
import { shards, startTwoSites, type TwoSites } from "./two_sites.ts";
import { closedLoop } from "./workload.ts";

export const bench: Bench = {
  name: "reads",
  question: "What does a local read through db_module cost against a bare LMDB get?",
  run,
};

const outstanding = 1_000;

async function run({ quick, profile }: BenchOptions): Promise<BenchResult> {
  const keys = quick ? 20_000 : 200_000;
  const ms = quick ? 300 : 1_000;
  const bare = await openBare(keys);
  const prepare = (directory: string) => loadStores(directory, { sites: ["A"], shards, keys });
  const [away, here] = [
    await startTwoSites({}, { prepare, threads: 1 }),
    await startTwoSites({}, { prepare, threads: 0 }),
  ];
  try {
    const rows = await interleaved(
      { name: "reads of one key", unit: "reads/s", repeats: quick ? 3 : 7 },
      {
        "bare get": async () => bare.run(ms),
        "caller on another thread": () => readRate(away, keys, ms),
        "all on one thread": () => readRate(here, keys, ms),
      },
    );
    if (profile !== undefined) {
      const options = { folder: profile, title: "reads", unitsOf: (done: number) => done };
      await profiled(away.system, options, async () => (await readRate(away, keys, ms * 5)) * 5);
    }
    return {
      rows: Object.values(rows),
      ratios: partsOf("P10", [
        ratioOf("another thread / bare get", rows["caller on another thread"], rows["bare get"], {
          atLeast: 0.35,
        }),
        ratioOf("one thread / bare get", rows["all on one thread"], rows["bare get"], { atLeast: 0.6 }),
      ]),
      facts: { outstanding, keys, "bytes of a value": valueBytes },
      failures: [],
    };
  } finally {
    await away.remove();
    await here.remove();
    await bare.remove();
  }
}

/** Keys in an order in which neighbours in time are none in the store. */
function keyAt(n: number, keys: number): string {
  return keyOf((n * 7_919) % keys);
}

async function readRate({ access }: TwoSites, keys: number, ms: number): Promise<number> {
  const read = access.get(backend);
  if (read === undefined) throw new Error(`no backend ${backend}`);
  const get = async (n: number): Promise<void> => {
    if ((await read.run("get", { key: keyAt(n, keys) })) === null) throw new Error("a loaded row is missing");
  };
  const { done, seconds } = await closedLoop(get, { outstanding, ms, first: 0 });
  return done / seconds;
}

/** Between two looks at the clock. */
const readsAtOnce = 1_000;

async function openBare(keys: number) {
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-bare-"));
  await loadStores(directory, { sites: ["A"], shards: 1, keys });
  const { root, rows } = openBareRows(directory, "A");
  return {
    run(ms: number): number {
      const startedAt = performance.now();
      let done = 0;
      while (performance.now() < startedAt + ms) {
        for (let i = 0; i < readsAtOnce; i++, done++) {
          const row = rows.get(rowKey(backend, keyAt(done, keys)));
          if (row === undefined) throw new Error("a loaded row is missing");
        }
      }
      return (done * 1_000) / (performance.now() - startedAt);
    },
    async remove(): Promise<void> {
      await root.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
