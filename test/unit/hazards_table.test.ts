import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hazardSources, hazardsPage } from "../hazards_table/sources.ts";
import { judgeRows, lastLine, readRows, rowLine, strayTests, withFiles } from "../hazards_table/table.ts";
import { projectRoot } from "../tidy/project.ts";

const page = [
  "| # | interleaving | what stops it | test file |",
  "|---|---|---|---|",
  "| 1 | a repair comes late | V | missing |",
  "| 2 | two forwarders | V, K | two.test.ts |",
  "| R1 | overtaking | lanes | missing |",
].join("\n");

function passed(fullName: string) {
  return { fullName, status: "passed" };
}

it("the page has 48 rows of the table, the 4 of the routing, and each row's number once", () => {
  const numbers = readRows(readFileSync(join(projectRoot, hazardsPage), "utf8")).map(({ number }) => number);
  expect(numbers.filter((number) => /^\d/.test(number))).toHaveLength(48);
  expect(numbers.filter((number) => number.startsWith("R"))).toEqual(["R1", "R2", "R3", "R4"]);
  expect(new Set(numbers).size).toBe(numbers.length);
});

it("the page names for each row the files whose tests play it (npm run hazards -- --write)", () => {
  const written = readFileSync(join(projectRoot, hazardsPage), "utf8");
  expect(withFiles(written, hazardSources())).toBe(written);
});

it("no test plays a hazard that the page does not have", () => {
  const numbers = new Set(
    readRows(readFileSync(join(projectRoot, hazardsPage), "utf8")).map((row) => row.number),
  );
  const named = [...hazardSources().values()].flatMap((text) => [...text.matchAll(/hazard ([RN]?\d+): /g)]);
  expect(named.length).toBeGreaterThan(0);
  expect(named.map(([, number = ""]) => number).filter((number) => !numbers.has(number))).toEqual([]);
});

it("a row whose test or twin is missing, has failed or was skipped is not held", () => {
  const tests = [
    passed("hazard 1: a repair"),
    passed("twin of hazard 1: without versions"),
    passed("hazard 2: two forwarders"),
    passed(" twin of hazard 2: without lanes"),
    { fullName: "twin of hazard 2: without versions", status: "failed" },
    { fullName: "hazard R1: overtaking", status: "skipped" },
  ];
  const rows = judgeRows(readRows(page), tests);
  expect(rows.map(({ hazard, twin }) => [hazard, twin])).toEqual([
    ["passed", "passed"],
    ["passed", "failed"],
    ["failed", "missing"],
  ]);
  expect(lastLine(rows)).toBe(
    "2 of 2 hazards pass, 1 of 2 twins fail their oracle; routing 0 of 1; found here 0 of 0",
  );
  expect(rows.map(rowLine).join("\n")).toMatch(
    /passed .*fails its oracle\n.*NOT CAUGHT\n.*FAILED .*twin MISSING/,
  );
});

it("hazard 1 and hazard 12 are different rows, and a number without a row is told", () => {
  const rows = readRows(page);
  expect(judgeRows(rows, [passed("hazard 12: a crash")])[0]?.hazard).toBe("missing");
  expect(strayTests(rows, [passed("hazard 12: a crash"), passed("hazard 2: x"), passed("a crawl")])).toEqual([
    "hazard 12: a crash",
  ]);
});

it("the files of a row are those that name its number", () => {
  const sources = new Map([
    ["b.test.ts", "hazard({ number: 1, title })"],
    ["a.test.ts", 'it("hazard 1: late")\nit("twin of hazard R1: x")\nhazard({ number: 12 })'],
  ]);
  expect(readRows(withFiles(page, sources)).map(({ files }) => files)).toEqual([
    "a.test.ts, b.test.ts",
    "missing",
    "a.test.ts",
  ]);
});
