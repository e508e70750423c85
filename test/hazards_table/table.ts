/**
 * The table of docs/reference/hazards.md against what the tests say. A row is held by the tests whose full names start
 * with `hazard 13: `, and proven to be worth something by those that start with `twin of hazard 13: `. Pure.
 */

/** A row of one of the page's tables, its number as written: `13`, `R1`, `N1`. */
export interface HazardRow {
  readonly number: string;
  readonly interleaving: string;
  readonly mechanism: string;
  /** The file of its tests, several after commas, or `missing`. */
  readonly files: string;
}

/** A test as vitest's JSON reporter tells it. */
export interface TestResult {
  readonly fullName: string;
  readonly status: string;
}

export type Verdict = "passed" | "failed" | "missing";

export interface JudgedRow extends HazardRow {
  readonly hazard: Verdict;
  /** `passed`: the twin failed its oracle, as it must. */
  readonly twin: Verdict;
}

export const missing = "missing";

const rowPattern = /^\| ([RN]?\d+) \| (.*) \| (.*) \| (.*) \|$/;
const namePattern = /^(twin of )?hazard ([RN]?\d+): /;

export function readRows(page: string): HazardRow[] {
  return page.split("\n").flatMap((line) => {
    const [, number, interleaving, mechanism, files] = rowPattern.exec(line) ?? [];
    if (number === undefined || interleaving === undefined) return [];
    return [{ number, interleaving, mechanism: mechanism ?? "", files: files ?? missing }];
  });
}

/** The numbers that a test's source names, in a test's name or as a hazard's `number`. */
export function numbersIn(source: string): string[] {
  const named = [...source.matchAll(/hazard ([RN]?\d+): /g), ...source.matchAll(/\bnumber: "?([RN]?\d+)\b/g)];
  return [...new Set(named.map(([, number = ""]) => number))];
}

/** The page with the last column of each row as the sources have it: names of files, by the numbers they name. */
export function withFiles(page: string, sources: ReadonlyMap<string, string>): string {
  const filesOf = new Map<string, string[]>();
  for (const [file, text] of sources) {
    for (const number of numbersIn(text)) filesOf.set(number, [...(filesOf.get(number) ?? []), file]);
  }
  const lines = page.split("\n").map((line) => {
    const [, number, interleaving, mechanism] = rowPattern.exec(line) ?? [];
    if (number === undefined) return line;
    const files = filesOf.get(number)?.sort().join(", ") ?? missing;
    return `| ${number} | ${interleaving} | ${mechanism} | ${files} |`;
  });
  return lines.join("\n");
}

export function judgeRows(rows: readonly HazardRow[], tests: readonly TestResult[]): JudgedRow[] {
  const found = tests.map(({ fullName, status }) => {
    const [, twin, number] = namePattern.exec(fullName.trim()) ?? [];
    return { number, isTwin: twin !== undefined, passed: status === "passed" };
  });
  return rows.map((row) => {
    const verdict = (isTwin: boolean): Verdict => {
      const own = found.filter((each) => each.number === row.number && each.isTwin === isTwin);
      if (own.length === 0) return "missing";
      return own.every(({ passed }) => passed) ? "passed" : "failed";
    };
    return { ...row, hazard: verdict(false), twin: verdict(true) };
  });
}

/** Tests that name a row which the page does not have. */
export function strayTests(rows: readonly HazardRow[], tests: readonly TestResult[]): string[] {
  const known = new Set(rows.map(({ number }) => number));
  return tests
    .map(({ fullName }) => fullName.trim())
    .filter((name) => {
      const number = namePattern.exec(name)?.[2];
      return number !== undefined && !known.has(number);
    });
}

export function isHeld({ hazard, twin }: JudgedRow): boolean {
  return hazard === "passed" && twin === "passed";
}

const columns = { number: 3, interleaving: 66, mechanism: 34, hazard: 7 };

const twinWords: Readonly<Record<Verdict, string>> = {
  passed: "twin fails its oracle",
  failed: "twin NOT CAUGHT",
  missing: "twin MISSING",
};

const hazardWords: Readonly<Record<Verdict, string>> = {
  passed: "passed",
  failed: "FAILED",
  missing: "MISSING",
};

export function rowLine({ number, interleaving, mechanism, hazard, twin }: JudgedRow): string {
  const cells = [
    number.padStart(columns.number),
    cut(interleaving, columns.interleaving),
    cut(mechanism, columns.mechanism),
    hazardWords[hazard].padEnd(columns.hazard),
    twinWords[twin],
  ];
  return cells.join("  ");
}

/** Always as wide as its column. */
function cut(text: string, width: number): string {
  const plain = text.replaceAll("`", "");
  return plain.length <= width ? plain.padEnd(width) : `${plain.slice(0, width - 1)}…`;
}

/** `48 of 48 hazards pass, 48 of 48 twins fail their oracle; routing 4 of 4; found here 10 of 10`. */
export function lastLine(rows: readonly JudgedRow[]): string {
  const of = (letter: string) => rows.filter(({ number }) => number.replace(/\d+/, "") === letter);
  const counted = (some: readonly JudgedRow[], holds: (row: JudgedRow) => boolean) =>
    `${some.filter(holds).length} of ${some.length}`;
  const table = of("");
  return [
    `${counted(table, ({ hazard }) => hazard === "passed")} hazards pass, ` +
      `${counted(table, ({ twin }) => twin === "passed")} twins fail their oracle`,
    `routing ${counted(of("R"), isHeld)}`,
    `found here ${counted(of("N"), isHeld)}`,
  ].join("; ");
}
