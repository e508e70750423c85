/** The figures in docs/reference/performance.md, made from what bench/results has: the newest record of each bench. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchRecord } from "./record.ts";
import { type BenchRatio, median, meets } from "./result.ts";

const begin = "<!-- figures of bench/results: npm run bench -- --document -->";
const end = "<!-- end of the figures -->";

/** By the bench's name; the newest, and of one day the one that was recorded for this bench alone. */
export function newestRecords(folder: string): BenchRecord[] {
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".json")) : [];
  const newest = new Map<string, BenchRecord>();
  for (const file of files.sort()) {
    const content = JSON.parse(readFileSync(join(folder, file), "utf8")) as
      | BenchRecord
      | { readonly benches: readonly BenchRecord[] };
    for (const record of "benches" in content ? content.benches : [content]) {
      const known = newest.get(record.name);
      if (known === undefined || known.date <= record.date) newest.set(record.name, record);
    }
  }
  return [...newest.values()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

/** Of its first target; benches without one come last. */
function idOf({ name, ratios }: BenchRecord): string {
  const { id } = ratios.find(({ target }) => target !== undefined) ?? {};
  return `${id === undefined ? "~" : id.padStart(3)} ${name}`;
}

export function figuresOf(records: readonly BenchRecord[]): string {
  const lines = ["| id | what | measured | target | |", "|---|---|---|---|---|"];
  const machines: string[] = [];
  for (const record of records) {
    const aimed = record.ratios.filter(({ target }) => target !== undefined);
    if (aimed.length === 0) continue;
    lines.push(...aimed.map((ratio) => rowOf(record.name, ratio)));
    const { cpu, cores, node, loadBefore } = record.machine;
    const load = `${loadBefore.toFixed(1)} runnable before`;
    machines.push(`- \`${record.name}\`: ${record.date}, ${cpu}, ${cores} cores, Node ${node}, ${load}`);
  }
  return [...lines, "", ...machines].join("\n");
}

function rowOf(bench: string, ratio: BenchRatio): string {
  const { id = bench, name, values, target } = ratio;
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const measured = `${short(median(values))} (${short(least)} to ${short(most)})`;
  const bound =
    target !== undefined && "atMost" in target ? `at most ${target.atMost}` : `at least ${target?.atLeast}`;
  return `| ${id} | ${name.replaceAll("|", "\\|")} | ${measured} | ${bound} | ${meets(ratio) ? "met" : "missed"} |`;
}

function short(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(2);
}

/** The page with these figures in place of those that it has. Errors: a page without their marks. */
export function withFigures(page: string, figures: string): string {
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`the page has no ${begin} and ${end}`);
  return `${before}${begin}\n${figures}\n${end}${after}`;
}

/** Rewrites the page by what is recorded. */
export function writeFigures(page: string, folder: string): void {
  const text = readFileSync(page, "utf8");
  writeFileSync(page, withFigures(text, figuresOf(newestRecords(folder))));
}
