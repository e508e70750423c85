/**
 * `npm run test:conformance`: plays the tests of test/conformance and prints a row for each case of the table: passed,
 * with the test that shows it, or refused, with the reason. `-- --write` only writes docs/reference/conformance.md.
 * Exit codes: 0 every case is passed or refused, 1 one is missing or failed, or a test names a case that is not there.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sections } from "../conformance/cases.ts";
import { type Played, playTests } from "../tables/play.ts";
import { projectRoot } from "../tidy/project.ts";
import { conformancePage, fileName, writtenPage } from "./sources.ts";
import { isHeld, judge, lastLine, strays, tableLines } from "./table.ts";

if (process.argv.includes("--write")) writeFileSync(join(projectRoot, conformancePage), writtenPage());
else process.exitCode = printTable(playTests("dist/test/conformance"));

function printTable({ tests, wrong }: Played): number {
  const rows = judge(
    sections,
    tests.map(({ title, status, file }) => ({ title, status, file: fileName(file) })),
  );
  const titles = tests.map(({ title }) => title);
  const stray = strays(sections, titles).map((name) => `not a case of the table: ${name}`);
  const faults = [...wrong, ...stray];
  process.stdout.write(`${[...faults, ...tableLines(rows), "", lastLine(rows)].join("\n")}\n`);
  return faults.length === 0 && rows.every(isHeld) ? 0 : 1;
}
