/** The command `nanoactor simulate`: its options and what it prints. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { type Scenario, scenarios } from "./draw.ts";
import { readRegression } from "./regression.ts";
import { playPlan } from "./seed_run.ts";
import { type SwarmReport, simulateSwarm } from "./swarm.ts";

interface Flags {
  readonly seeds?: number;
  readonly from: number;
  readonly minutes?: number;
  readonly scenario: Scenario;
  readonly regressions: string;
  readonly replay?: string;
  readonly json?: boolean;
}

/** Ends with `exitCode` when a promise was broken or a state was never reached. */
export function addSimulateCommand(program: Command, exitCode: number): void {
  program
    .command("simulate")
    .description("play whole migrations of two simulated data centres under faults, each from one seed")
    .option(
      "--seeds <n>",
      "how many (default 200; with --minutes: as many as there is time for)",
      wholeNumber,
    )
    .option("--from <seed>", "the first", wholeNumber, 1)
    .option("--minutes <m>", "stop after so many minutes", wholeNumber)
    .addOption(
      new Option("--scenario <name>", "how large the data centres are")
        .choices(Object.keys(scenarios))
        .default("ordinary"),
    )
    .option("--regressions <directory>", "where a seed that failed goes, shrunk", "nanoactor-regressions")
    .option("--replay <file>", "play such a file again, and nothing else")
    .option("--json", "print the report, and nothing else, to standard output")
    .action(async (flags: Flags) => {
      const clean =
        flags.replay === undefined ? await swarm(flags) : await replay(flags.replay, flags.json === true);
      if (!clean) process.exitCode = exitCode;
    });
}

async function swarm(flags: Flags): Promise<boolean> {
  const { from, minutes, scenario, regressions } = flags;
  const seeds = flags.seeds ?? (minutes === undefined ? 200 : Number.MAX_SAFE_INTEGER);
  const isJson = flags.json === true;
  const report = await simulateSwarm({
    from,
    seeds,
    minutes: minutes ?? Number.POSITIVE_INFINITY,
    scenario,
    regressions,
    say: (line) => void (isJson ? process.stderr : process.stdout).write(`${line}\n`),
  });
  process.stdout.write(isJson ? `${JSON.stringify(report, undefined, 2)}\n` : summary(report));
  return report.clean;
}

function summary(report: SwarmReport): string {
  const { seeds, failed, playedTwice, seconds, effects, sometimes, neverReached } = report;
  const lines = [
    `${report.scenario}: ${report.topology}`,
    `${seeds} seeds from ${report.from} in ${seconds.toFixed(0)} s (${report.seedsPerSecond.toFixed(0)}/s)`,
    `${failed.length} failed`,
    `${playedTwice} played twice, with equal hashes unless a seed above says otherwise`,
    `operations of clients in a seed: ${report.operationsMin} at least`,
    `faults of a seed that changed an outcome: median ${report.effectiveFaultsMedian}`,
    `faults: ${listed(effects)}`,
    `states reached sometimes: ${listed(sometimes)}`,
    ...failed.map(({ seed, command, regression }) => `seed ${seed} failed: ${regression ?? command}`),
    ...neverReached.map((state) => `never reached: ${state}`),
  ];
  return `${lines.join("\n")}\n`;
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

async function replay(path: string, isJson: boolean): Promise<boolean> {
  const { plan, faults: before } = readRegression(path);
  const { findings, hash } = await playPlan(plan);
  const { faults } = findings;
  if (isJson) process.stdout.write(`${JSON.stringify({ faults, before, hash }, undefined, 2)}\n`);
  else
    process.stdout.write(
      faults.length === 0 ? `nothing is wrong; hash ${hash}\n` : `${faults.join("\n")}\nhash ${hash}\n`,
    );
  return faults.length === 0;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}
