/**
 * What does group commit give? Marks appended to a dirty log that syncs them (durability `group`), by one writer that
 * waits for each and by 1,000, against a program without actors that encodes as many, writes them as one frame and
 * syncs, batch after batch. All on one thread and one disk; the log compacts itself as it does in production.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { db_dirty_log } from "../actors/db_dirty_log.ts";
import { encodeFrame, type LogRecord, ShardRecords } from "../actors/log_records.ts";
import { rowKey } from "../actors/records.ts";
import { child, nodeDisk, startSystem } from "../src/index.ts";
import { interleaved } from "./interleaved.ts";
import { type Bench, type BenchOptions, type BenchResult, partsOf, ratioOf } from "./result.ts";
import { closedLoop, writeAt } from "./workload.ts";

export const bench: Bench = { name: "ledger", question: "What does group commit of the ledger give?", run };

const writers = 1_000;
const records = new ShardRecords(0, 1);

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const ms = quick ? 100 : 500;
  const repeats = quick ? 3 : 5;
  const folder = mkdtempSync(join(tmpdir(), "nanoactor-ledger-"));
  const system = await startSystem({ logLevel: "silent", resources: { disk: nodeDisk() } });
  const raw = await open(join(folder, "raw"), "a");
  try {
    const own = join(folder, "log");
    const options = { folder: own, folders: [own], durability: "group" } as const;
    await system.supervise({ children: [child("log", db_dirty_log, options, { name: "log" })] });
    const log = system.ref(db_dirty_log, "log");
    await log.call.append([records.account(), records.start()]);
    let first = 0;
    const append = async (outstanding: number): Promise<number> => {
      const { done, seconds } = await closedLoop((n) => log.call.append([markAt(n)]), {
        outstanding,
        ms,
        first,
      });
      first += done + outstanding;
      return done / seconds;
    };
    const rows = await interleaved(
      { name: "durable marks", unit: "marks/s", repeats },
      {
        "1 writer": () => append(1),
        "1,000 writers": () => append(writers),
        "bare file": () => rawBatches(raw, ms),
      },
    );
    const { commits, records: logged } = await log.call.statistics();
    const ratios = partsOf("P8", [
      ratioOf("1,000 writers / 1 writer", rows["1,000 writers"], rows["1 writer"], { atLeast: 200 }),
      ratioOf("1,000 writers / encode, write and fdatasync", rows["1,000 writers"], rows["bare file"], {
        atLeast: 0.9,
      }),
    ]);
    return { rows: Object.values(rows), ratios, facts: { commits, "marks logged": logged }, failures: [] };
  } finally {
    await system.stop();
    await raw.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The n-th write of the workload: keys recur, as those of users do. */
function markAt(n: number): LogRecord {
  const { backend, message } = writeAt(n);
  return records.mark(rowKey(backend, message.key, message.member), [1, 1, n + 1], "queuer");
}

async function rawBatches(file: FileHandle, ms: number): Promise<number> {
  const startedAt = performance.now();
  let done = 0;
  while (performance.now() < startedAt + ms) {
    await file.write(encodeFrame(Array.from({ length: writers }, (_, i) => markAt(done + i))));
    await file.datasync();
    done += writers;
  }
  return (done * 1_000) / (performance.now() - startedAt);
}
