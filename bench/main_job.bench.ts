/**
 * Where does the main job's processor time go? `nanoactor migrate` without faults (a killed thread leaves no profile),
 * every thread profiled from its start to its end. What counts is the process with the two sites; the driver, which is
 * its load and its judge, is left out.
 *
 * A part of the software is the folder that a function's file is in. Messaging is what carries messages: processes,
 * mailboxes, turns, calls and deadlines, the channel between threads and its codec.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type CallTree, callTree, mentions, readProfiles, sharesOf } from "./cpu_profiles.ts";
import { flameGraph } from "./flame.ts";
import type { Bench, BenchOptions, BenchResult } from "./result.ts";

export const bench: Bench = {
  name: "main_job",
  question: "Where does the main job's processor time go?",
  notQuick: "half a minute",
  run,
};

const command = fileURLToPath(new URL("../app/main.js", import.meta.url));
/** Only the process with the sites has it. */
const sitesFile = "actors/db_switch.js";
const outputBytesMax = 64 * 1_024 * 1_024;

/** By the first one that a file's URL holds. */
const parts: readonly (readonly [fragment: string, part: string])[] = [
  ["/src/core/", "messaging"],
  ["/src/platform/", "messaging"],
  ["/src/wire/", "messaging"],
  ["/src/", "rest of the runtime"],
  ["/actors/stores/", "stores"],
  ["/node_modules/lmdb/", "stores"],
  ["/node_modules/msgpackr/", "packing of rows and logs"],
  ["/actors/", "db_* actors"],
  ["/app/", "composition"],
  ["/node_modules/", "other packages"],
  ["node:", "Node"],
];

const colours: Readonly<Record<string, string>> = {
  messaging: "#e8a33d",
  "rest of the runtime": "#efd9a7",
  stores: "#7fb4d6",
  "packing of rows and logs": "#b7d7a8",
  "db_* actors": "#8fc97f",
  Node: "#d7cde8",
  "garbage collector": "#d98c8c",
};

async function run({ quick }: BenchOptions): Promise<BenchResult> {
  const seconds = quick ? 10 : 60;
  const repeats = quick ? 1 : 3;
  const shares: Map<string, number>[] = [];
  const acknowledged: number[] = [];
  let last: CallTree | undefined;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const profiled = await profiledJob(seconds);
    shares.push(sharesOf(profiled.tree, partOf));
    acknowledged.push(profiled.acknowledged / seconds);
    last = profiled.tree;
  }
  const names = [...(shares.at(-1)?.keys() ?? [])];
  const rows = names.map((name) => ({
    name,
    unit: "of the processor time",
    values: shares.map((each) => each.get(name) ?? 0),
  }));
  const messaging = shares.map((each) => each.get("messaging") ?? 0);
  return {
    rows: [...rows, { name: "acknowledged writes, profiled", unit: "/s", values: acknowledged }],
    ratios: [{ name: "messaging / all", values: messaging, target: { atMost: 0.2 } }],
    facts: { seconds, "busy ms of the last repeat": Math.round((last?.us ?? 0) / 1_000) },
    failures: [],
    ...(last === undefined
      ? {}
      : {
          plots: {
            "main_job.svg": flameGraph(
              "nanoactor migrate: the two sites",
              last,
              (tree) => colours[partOf(tree)] ?? "#ccc",
            ),
          },
        }),
  };
}

/** Errors: the job fails, or proves nothing. */
async function profiledJob(
  seconds: number,
): Promise<{ readonly tree: CallTree; readonly acknowledged: number }> {
  const folder = mkdtempSync(join(tmpdir(), "nanoactor-main-job-"));
  try {
    const profile = ["--cpu-prof", `--cpu-prof-dir=${join(folder, "profiles")}`];
    const job = ["migrate", "--no-faults", "--seconds", String(seconds), "--json"];
    const places = ["--data", join(folder, "data"), "--report", join(folder, "report")];
    const { stdout } = await promisify(execFile)(process.execPath, [...profile, command, ...job, ...places], {
      maxBuffer: outputBytesMax,
    });
    const report = JSON.parse(stdout) as { readonly acknowledged: { readonly writes: number } };
    const sites = readProfiles(join(folder, "profiles")).filter((each) => mentions(each, sitesFile));
    return { tree: callTree(sites), acknowledged: report.acknowledged.writes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function partOf({ name, url }: CallTree): string {
  if (name === "(garbage collector)") return "garbage collector";
  return parts.find(([fragment]) => url.includes(fragment))?.[1] ?? "native code";
}
