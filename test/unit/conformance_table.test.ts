import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Section, sections, shown } from "../conformance/cases.ts";
import { conformancePage, fileName, writtenPage, writtenTests } from "../conformance_table/sources.ts";
import {
  isHeld,
  judge,
  lastLine,
  readTitle,
  rowLine,
  strays,
  tableLines,
} from "../conformance_table/table.ts";
import { projectRoot } from "../tidy/project.ts";

const cases: readonly Section[] = [
  {
    source: "a_SUITE",
    title: "A",
    cases: { stop3: shown, stop4: shown, start: shown, code_change: "no code changes" },
    changed: { stop4: "By name." },
  },
  { source: "ractor", title: "B", cases: { start: shown } },
];

function test(title: string, status = "passed") {
  return { title, status, file: "some" };
}

it("every case is shown by a test or refused with a reason, and there are at least 110", () => {
  const rows = judge(sections, writtenTests());
  expect(rows.filter((row) => !isHeld(row)).map(rowLine)).toEqual([]);
  expect(rows.length).toBeGreaterThanOrEqual(110);
  expect(new Set(rows.map(({ source, name }) => `${source} ${name}`)).size).toBe(rows.length);
  for (const { verdict, reason } of rows) if (verdict === "refused") expect(reason).toMatch(/^[A-Z].*\.$/);
});

it("no test names a case that is not in the table", () => {
  const titles = writtenTests().map(({ title }) => title);
  expect(titles.length).toBeGreaterThan(150);
  expect(strays(sections, titles)).toEqual([]);
});

it("the page shows the table as cases and tests have it (npm run test:conformance -- --write)", () => {
  expect(readFileSync(join(projectRoot, conformancePage), "utf8")).toBe(writtenPage());
});

it("a case whose test failed, was skipped or is missing is not held, nor is a refused one that a test shows", () => {
  const tests = [
    test("stop3: alive (a_SUITE)"),
    test("stop3, stop4: by name (a_SUITE)", "skipped"),
    test("code_change: it works (a_SUITE)"),
    test("start: one of them (ractor)"),
  ];
  const rows = judge(cases, tests);
  expect(rows.map(({ verdict }) => verdict)).toEqual([
    "failed",
    "failed",
    "missing",
    "contradicted",
    "passed",
  ]);
  expect(rows.filter(isHeld)).toHaveLength(1);
  expect(lastLine(rows)).toBe("1 passed, 0 refused, 1 missing, 3 failed of 5 cases");
  expect(tableLines(rows).join("\n")).toMatch(/\nA \(a_SUITE\)\nstop3 +FAILED +alive \(some and 1 more\)\n/);
});

it("a case is shown by all that name it, of its own source only; a refused one says why", () => {
  const rows = judge(cases, [
    test("stop3, stop4: by name (a_SUITE)"),
    test("start: both of them (a_SUITE, ractor)"),
  ]);
  expect(rows.map(({ verdict }) => verdict)).toEqual(["passed", "passed", "passed", "refused", "passed"]);
  expect(lastLine(rows)).toBe("4 passed, 1 refused, 0 missing of 5 cases");
  expect(rows.map(rowLine)[3]).toMatch(/^code_change +refused +no code changes$/);
  expect(judge(cases, [test("start: one of them (ractor)")])[2]?.verdict).toBe("missing");
});

it("a test that names no case, or one of another source, is told; so is a change of a refused case", () => {
  const titles = [
    "stop3: x (a_SUITE)",
    "stop3: x (ractor)",
    "stop5: x (a_SUITE)",
    "stop5: x",
    "a resize: x (b)",
  ];
  expect(strays(cases, titles)).toEqual(["stop3: x (ractor)", "stop5: x (a_SUITE)"]);
  const [first] = cases;
  if (first === undefined) throw new Error("there is one");
  expect(strays([{ ...first, changed: { code_change: "x", stop9: "y" } }], [])).toEqual([
    "code_change",
    "stop9",
  ]);
});

it("a title names its cases before the colon and its sources at its end", () => {
  const sources = new Set(["a_SUITE", "ractor", "issues"]);
  expect(readTitle("stop4, stop7: by name (or not): both; %s (a_SUITE, ractor)", sources)).toEqual({
    names: ["stop4", "stop7"],
    text: "by name (or not): both; %s",
    sources: ["a_SUITE", "ractor"],
  });
  expect(readTitle("erlang/otp#1287: delayed (issues)", sources)?.names).toEqual(["erlang/otp#1287"]);
  for (const title of [
    "a worker ends (ractor)",
    "start: x",
    "start: x (ractor, elsewhere)",
    "start: (ractor)",
  ])
    expect(readTitle(title, sources)).toBeUndefined();
  expect(fileName("/dist/test/conformance/pool.test.js")).toBe("pool");
});
