/**
 * The table of conformance: its cases (test/conformance/cases.ts) against the tests. A test belongs to the cases that
 * its title names before the colon, of the sources that stand at its end in brackets:
 * `stop4, stop7: by name (gen_server_SUITE)`. Pure.
 */

import { type Section, shown } from "../conformance/cases.ts";

/** A test's title, taken apart. */
export interface Title {
  readonly names: readonly string[];
  readonly text: string;
  readonly sources: readonly string[];
}

/** A test as vitest tells it, and the name of its source file. */
export interface TestResult {
  readonly title: string;
  readonly status: string;
  readonly file: string;
}

export interface Row {
  readonly section: string;
  readonly source: string;
  readonly name: string;
  /** `contradicted`: it is refused, yet a test says that it shows it. */
  readonly verdict: "passed" | "refused" | "failed" | "missing" | "contradicted";
  /** Why it is refused. */
  readonly reason: string;
  /** What the case means here, where it differs. */
  readonly changed: string;
  readonly tests: readonly { readonly text: string; readonly file: string }[];
}

const titlePattern = /^([\w.#/-]+(?:, [\w.#/-]+)*): (.+) \(([^()]+)\)$/;

/** Undefined for a test that names no case. */
export function readTitle(title: string, sources: ReadonlySet<string>): Title | undefined {
  const [, names, text, inBrackets] = titlePattern.exec(title) ?? [];
  if (names === undefined || text === undefined || inBrackets === undefined) return undefined;
  const named = inBrackets.split(", ");
  if (!named.every((source) => sources.has(source))) return undefined;
  return { names: names.split(", "), text, sources: named };
}

export function sourcesOf(sections: readonly Section[]): Set<string> {
  return new Set(sections.map(({ source }) => source));
}

/** The cases with what the tests say of them. */
export function judge(sections: readonly Section[], tests: readonly TestResult[]): Row[] {
  const sources = sourcesOf(sections);
  const read = tests.flatMap((test) => {
    const title = readTitle(test.title, sources);
    return title === undefined ? [] : [{ ...title, file: test.file, passed: test.status === "passed" }];
  });
  return sections.flatMap(({ source, title, cases, changed }) =>
    Object.entries(cases).map(([name, how]): Row => {
      const own = read.filter((test) => test.sources.includes(source) && test.names.includes(name));
      const verdict =
        how === shown
          ? own.length === 0
            ? "missing"
            : own.every(({ passed }) => passed)
              ? "passed"
              : "failed"
          : own.length === 0
            ? "refused"
            : "contradicted";
      const reason = how === shown ? "" : how;
      return { section: title, source, name, verdict, reason, changed: changed?.[name] ?? "", tests: own };
    }),
  );
}

/** Tests that name a case which the table does not have, and what was said of cases that are not there. */
export function strays(sections: readonly Section[], titles: readonly string[]): string[] {
  const sources = sourcesOf(sections);
  const known = new Set(
    sections.flatMap(({ source, cases }) => Object.keys(cases).map((name) => `${source} ${name}`)),
  );
  const tests = titles.filter((title) => {
    const read = readTitle(title, sources);
    return read?.names.some((name) => !read.sources.some((source) => known.has(`${source} ${name}`)));
  });
  const changes = sections.flatMap(({ cases, changed }) =>
    Object.keys(changed ?? {}).filter((name) => cases[name] !== shown),
  );
  return [...tests, ...changes];
}

export function isHeld({ verdict }: Row): boolean {
  return verdict === "passed" || verdict === "refused";
}

const nameWidth = 51;
const verdictWidth = 12;

/** `stop3   passed   an invalid time-out leaves the server alive (otp_gen_server)`. */
export function rowLine(row: Row): string {
  const [first, ...others] = row.tests;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  const test = first === undefined ? "no test names it" : `${first.text} (${first.file}${more})`;
  const verdict = isHeld(row) ? row.verdict : row.verdict.toUpperCase();
  const why = row.verdict === "refused" ? row.reason : test;
  return `${row.name.padEnd(nameWidth)} ${verdict.padEnd(verdictWidth)} ${why}`;
}

/** `134 passed, 17 refused, 0 missing of 151 cases`; what failed, if any. */
export function lastLine(rows: readonly Row[]): string {
  const count = (verdict: Row["verdict"]): number => rows.filter((row) => row.verdict === verdict).length;
  const wrong = count("failed") + count("contradicted");
  const failed = wrong === 0 ? "" : `, ${wrong} failed`;
  const counts = `${count("passed")} passed, ${count("refused")} refused, ${count("missing")} missing`;
  return `${counts}${failed} of ${rows.length} cases`;
}

export function tableLines(rows: readonly Row[]): string[] {
  return rows.flatMap((row, i) => {
    const isNew = rows[i - 1]?.section !== row.section;
    return isNew ? ["", `${row.section} (${row.source})`, rowLine(row)] : [rowLine(row)];
  });
}

/** The rows as the page shows them. */
export function pageTables(rows: readonly Row[]): string {
  return rows
    .flatMap((row, i) => {
      const head = [`\n## ${row.section}\n`, "| case | | shown by, or why not |", "|---|---|---|"];
      return rows[i - 1]?.section === row.section ? [pageLine(row)] : [...head, pageLine(row)];
    })
    .join("\n");
}

function pageLine({ name, verdict, reason, changed, tests }: Row): string {
  const shows = tests.map(({ text, file }) => `${text.replaceAll(/%[si]/g, "…")} (\`${file}\`)`);
  const here = changed === "" ? [] : [`*Here:* ${changed}`];
  const cell = verdict === "refused" ? reason : [...shows, ...here].join("<br>");
  return `| \`${name}\` | ${verdict} | ${cell.replaceAll("|", "\\|")} |`;
}
