/** The processes of bench compare: one loads both stores, one scans them bare, one compares them as in operation. */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { builtInBackends } from "../actors/backends/index.ts";
import { type RowKey, rowKey } from "../actors/records.ts";
import { type Sites, startSites } from "../actors/sites.ts";
import { layout, logFolders, openDataDirectory, threadSetup } from "../actors/stores/data_directory.ts";
import { openLmdbStore } from "../actors/stores/lmdb.ts";
import { encodeRow } from "../actors/stores/row_codec.ts";
import { startSystem } from "../src/index.ts";
import { openBareRows } from "./loaded_stores.ts";

export type Request =
  | { readonly type: "load"; readonly directory: string; readonly rows: number }
  | { readonly type: "scan" | "compare"; readonly directory: string };

export interface Answer {
  readonly rows: number;
  readonly seconds: number;
  /** Of all threads of the process. */
  readonly cpuSeconds: number;
  readonly mismatches: number;
  readonly rssAnonBytesMax: number;
  readonly storeBytes: number;
}

const names = ["A", "B"] as const;
const prefixes = ["+49", "+33"];
const nothing: Answer = {
  rows: 0,
  seconds: 0,
  cpuSeconds: 0,
  mismatches: 0,
  rssAnonBytesMax: 0,
  storeBytes: 0,
};
const valueBytes = 16;
/** Rows of one transaction while loading: large enough that commits cost nothing beside the puts. */
const loadBatch = 50_000;
const sampleMs = 20;

function keyAt(n: number): RowKey {
  return rowKey("device_platform", `${prefixes[n % 2] ?? ""}${1_500_000_000 + n}`);
}

async function load(directory: string, count: number): Promise<Answer> {
  for (const site of names) {
    const path = layout.store(directory, site, 0);
    const options = { path, indexedBackends: [], durability: "os", newStoreId: `store-${site}` } as const;
    await (await openLmdbStore(options)).close();
    const { root, rows } = openBareRows(directory, site, { noSync: true });
    // In key order: all of one prefix, then all of the other.
    for (let half = 1; half >= 0; half--) {
      for (let n = half; n < count; n += 2 * loadBatch) {
        root.transactionSync(() => {
          for (let each = n; each < Math.min(count, n + 2 * loadBatch); each += 2) {
            const value = new Uint8Array(valueBytes);
            new DataView(value.buffer).setUint32(0, each);
            const encoded = encodeRow({ version: [1, 1, each + 1], value, expiresAtMs: 0 });
            rows.putSync(keyAt(each), Buffer.from(encoded.buffer));
          }
        });
      }
    }
    await root.close();
  }
  return nothing;
}

async function scan(directory: string): Promise<Answer> {
  const spent = stopwatch();
  let rows = 0;
  let bytes = 0;
  for (const site of names) {
    const { root, rows: db } = openBareRows(directory, site, { noSync: true });
    for (const { key, value } of db.getRange({ start: "\u0000" })) {
      rows++;
      bytes += key.length + value.byteLength;
    }
    await root.close();
  }
  if (bytes === 0) throw new Error("nothing was read");
  return { ...nothing, ...spent(), rows };
}

let running: Sites | undefined;

async function started(directory: string): Promise<Sites> {
  const resources = openDataDirectory({ directory });
  const system = await startSystem({
    threads: 1,
    setup: threadSetup({ directory }),
    resources,
    logLevel: "error",
  });
  return startSites(system, {
    sites: names,
    control: resources.control,
    backends: builtInBackends,
    shards: 1,
    prefixes,
    tuning: { compareShare: 1 },
    ...logFolders(directory),
  });
}

async function compare(directory: string): Promise<Answer> {
  running ??= await started(directory);
  let rssAnonBytesMax = rssAnonBytes();
  const timer = setInterval(() => {
    rssAnonBytesMax = Math.max(rssAnonBytesMax, rssAnonBytes());
  }, sampleMs);
  const spent = stopwatch();
  const passes = await running.compare();
  const times = spent();
  clearInterval(timer);
  const sum = (of: (pass: (typeof passes)[number]) => number): number =>
    passes.reduce((total, pass) => total + of(pass), 0);
  const storeBytes = names
    .map((site) => statSync(join(layout.store(directory, site, 0), "data.mdb")).size)
    .reduce((total, size) => total + size, 0);
  const rows = sum((pass) => pass.rows);
  const mismatches = sum((pass) => pass.mismatches);
  return { ...times, rows, mismatches, rssAnonBytesMax, storeBytes };
}

function stopwatch(): () => Pick<Answer, "seconds" | "cpuSeconds"> {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return { seconds: (performance.now() - startedAt) / 1_000, cpuSeconds: (user + system) / 1e6 };
  };
}

function rssAnonBytes(): number {
  const found = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(found?.[1] ?? 0) * 1_024;
}

process.on("disconnect", () => process.exit(0));
process.on("message", (request: Request) => {
  const { directory } = request;
  const work =
    request.type === "load"
      ? load(directory, request.rows)
      : request.type === "scan"
        ? scan(directory)
        : compare(directory);
  work.then(
    (answer) => process.send?.(answer),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? "") : String(error) }),
  );
});
