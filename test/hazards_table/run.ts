/**
 * `npm run hazards`: plays every hazard and its negative twin, and prints the table of docs/reference/hazards.md row by
 * row with what came of it. `-- --write` only brings the page's last column up to date with the tests' sources.
 * Exit codes: 0 every row is held and every twin caught, 1 one is not or is missing.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../tidy/project.ts";
import { hazardSources, hazardsPage } from "./sources.ts";
import {
  isHeld,
  judgeRows,
  lastLine,
  readRows,
  rowLine,
  strayTests,
  type TestResult,
  withFiles,
} from "./table.ts";

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly (TestResult & { readonly failureMessages: readonly string[] })[];
  }[];
}

const page = join(projectRoot, hazardsPage);
if (process.argv.includes("--write")) {
  writeFileSync(page, withFiles(readFileSync(page, "utf8"), hazardSources()));
} else process.exitCode = printTable(play());

function play(): Report {
  const folder = mkdtempSync(join(tmpdir(), "nanoactor-hazards-"));
  try {
    const results = join(folder, "results.json");
    const vitest = join(projectRoot, "node_modules/vitest/vitest.mjs");
    const played = ["run", "dist/test/sim/hazards", "--reporter=json", `--outputFile=${results}`];
    const { error } = spawnSync(process.execPath, [vitest, ...played], {
      cwd: projectRoot,
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (error !== undefined) throw error;
    return JSON.parse(readFileSync(results, "utf8")) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function printTable({ testResults }: Report): number {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const rows = judgeRows(readRows(readFileSync(page, "utf8")), tests);
  const stray = strayTests(rows, tests).map((name) => `no row of the page: ${name}`);
  const failed = tests
    .filter(({ status }) => status !== "passed")
    .map(({ fullName, status, failureMessages }) => `${status}: ${fullName}\n${failureMessages.join("\n")}`);
  const unread = testResults
    .filter(({ status, assertionResults }) => status !== "passed" && assertionResults.length === 0)
    .map(({ name, message }) => `can't be run: ${name}\n${message}`);
  const wrong = [...unread, ...failed, ...stray];
  const lines = [...wrong, ...rows.map(rowLine), lastLine(rows)];
  process.stdout.write(`${lines.join("\n")}\n`);
  return wrong.length === 0 && rows.every(isHeld) ? 0 : 1;
}
