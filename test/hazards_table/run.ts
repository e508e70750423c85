/**
 * `npm run hazards`: plays every hazard and its negative twin, and prints the table of docs/reference/hazards.md row by
 * row with what came of it. `-- --write` only brings the page's last column up to date with the tests' sources.
 * Exit codes: 0 every row is held and every twin caught, 1 one is not or is missing.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Played, playTests } from "../tables/play.ts";
import { projectRoot } from "../tidy/project.ts";
import { hazardSources, hazardsPage } from "./sources.ts";
import { isHeld, judgeRows, lastLine, readRows, rowLine, strayTests, withFiles } from "./table.ts";

const page = join(projectRoot, hazardsPage);
if (process.argv.includes("--write")) {
  writeFileSync(page, withFiles(readFileSync(page, "utf8"), hazardSources()));
} else process.exitCode = printTable(playTests("dist/test/sim/hazards"));

function printTable({ tests, wrong }: Played): number {
  const rows = judgeRows(readRows(readFileSync(page, "utf8")), tests);
  const stray = strayTests(rows, tests).map((name) => `no row of the page: ${name}`);
  const faults = [...wrong, ...stray];
  const lines = [...faults, ...rows.map(rowLine), lastLine(rows)];
  process.stdout.write(`${lines.join("\n")}\n`);
  return faults.length === 0 && rows.every(isHeld) ? 0 : 1;
}
