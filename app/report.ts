/** The main job's report: report.json (its schema is in docs/reference/report.md) and a summary for people. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DriverResult, JobSettings, SystemResult } from "./messages.ts";

export interface Report extends DriverResult, SystemResult {
  readonly proven: boolean;
  /** Why not, in words; empty when proven. */
  readonly failures: readonly string[];
  readonly seconds: number;
  readonly node: string;
  readonly settings: JobSettings;
}

export function makeReport(
  settings: JobSettings,
  driver: DriverResult,
  system: SystemResult,
  seconds: number,
): Report {
  const failures = failuresOf(settings, driver, system);
  const proven = failures.length === 0;
  return { proven, failures, ...driver, ...system, seconds, node: process.version, settings };
}

/** What contradicts the promises. A run that proves nothing (no sample, a fault that never fired) fails too. */
function failuresOf(settings: JobSettings, driver: DriverResult, system: SystemResult): string[] {
  const failures: string[] = [];
  const { acknowledged, unaccounted, unequal } = driver;
  if (acknowledged.lost > 0) {
    failures.push(`${acknowledged.lost} acknowledged writes lost: ${some(acknowledged.lostKeys)}`);
  }
  if (unaccounted.max > 0) {
    failures.push(`${unaccounted.max} keys unaccounted for: ${some(unaccounted.examples)}`);
  }
  if (unequal.count > 0) failures.push(`${unequal.count} rows differ at the end: ${some(unequal.examples)}`);
  if (unaccounted.samples === 0) failures.push("no key was audited: nothing is known");
  const { unaccountedFoundTotal, compared: parts } = system.compared;
  if (unaccountedFoundTotal === null || parts === 0)
    failures.push("the sites were not compared: nothing is known");
  else if (unaccountedFoundTotal > 0) {
    failures.push(
      `${unaccountedFoundTotal} keys differed with nothing standing for them, as the sites compared`,
    );
  }
  if (system.dirty > 0) failures.push(`${system.dirty} keys or ranges are still dirty at the end`);
  const unmoved = system.prefixes.filter(({ state }) => state !== "swapped").map(({ prefix }) => prefix);
  if (unmoved.length > 0) failures.push(`${unmoved.length} prefixes have not moved: ${some(unmoved)}`);
  if (settings.faults) {
    for (const { name, fired } of system.faults) {
      if (fired === 0) failures.push(`the fault ${name} never fired`);
    }
  }
  return failures;
}

/** The first few of a list; the report's other fields have more. */
function some(examples: readonly string[]): string {
  const shown = examples.slice(0, examplesShown).join(", ");
  return examples.length > examplesShown ? `${shown}, ...` : shown;
}

const examplesShown = 5;

/** Writes report.json; returns its path. */
export function writeReport(report: Report, directory: string): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "report.json");
  writeFileSync(path, `${JSON.stringify(report, undefined, 2)}\n`);
  return path;
}

const count = new Intl.NumberFormat("en-US");

export function summary(report: Report): string {
  const { acknowledged, unaccounted, prefixes, latency, valueBytes, faults, compared } = report;
  const readOnly = prefixes.flatMap(({ readOnlyMs }) => readOnlyMs).sort((a, b) => a - b);
  const median = readOnly[readOnly.length >> 1] ?? 0;
  const { write, read } = latency;
  const lines = [
    `${report.proven ? "Proven" : "NOT PROVEN"} in ${report.seconds.toFixed(0)} s on Node ${report.node}`,
    `  users ${count.format(report.users)}, rows ${count.format(report.rows)}, ` +
      `values ${valueBytes.mean.toFixed(0)} B mean, ${count.format(valueBytes.max)} B largest`,
    `  writes acknowledged ${count.format(acknowledged.writes)}, lost ${acknowledged.lost}; ` +
      `median ${count.format(report.writesPerSecondMedian)}/s`,
    `  keys audited ${count.format(unaccounted.keys)}, unaccounted ${unaccounted.max}; ` +
      `unequal at the end ${report.unequal.count}`,
    `  compared ${count.format(compared.rows ?? 0)} rows in ${compared.compared} of ${compared.parts} parts, ` +
      `at most ${((compared.fullAgeMs ?? 0) / 1_000).toFixed(0)} s ago; unaccounted ` +
      `${compared.unaccountedFoundTotal ?? "unknown"}`,
    `  prefixes ${prefixes.length}, read-only ${median} ms median, ${readOnly.at(-1) ?? 0} ms longest`,
    `  quarantined ${report.perror.length}; ` +
      `faults ${faults.map(({ name, fired }) => `${name} ${count.format(fired)}`).join(", ")}`,
    `  latency ms, p50/p99: write ${write.p50Ms.toFixed(1)}/${write.p99Ms.toFixed(1)}, ` +
      `read ${read.p50Ms.toFixed(1)}/${read.p99Ms.toFixed(1)}; longest pause ${report.longestPauseMs.toFixed(0)} ms`,
    `  system's anonymous memory ${(report.rssAnonBytesMax / 1024 ** 2).toFixed(0)} MiB at most`,
  ];
  return [...lines, ...report.failures.map((failure) => `  FAILED: ${failure}`)].join("\n");
}
