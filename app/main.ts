#!/usr/bin/env node
/** The command line. Exit codes: 0 proven, 1 failed, 2 wrong usage or configuration, 3 not proven, 130 interrupted. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { toErrorData } from "../src/index.ts";
import { auditCommand } from "./audit.ts";
import { type ConfigOverrides, isConfigError, parseRouting, prepareData, readConfig } from "./config.ts";
import { defaultReportDirectory, migrate } from "./migrate.ts";
import { planText, refuseUnsafe } from "./plan.ts";
import { addReplayCommand } from "./replay.ts";
import { summary, writeReport } from "./report.ts";
import { addSimulateCommand } from "./simulate/command.ts";

interface MigrateFlags {
  readonly users?: number;
  readonly seconds?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly shards?: number;
  readonly backends?: string[];
  readonly routing?: string;
  readonly durability?: string;
  readonly faults: boolean;
  readonly data?: string;
  readonly report?: string;
  readonly json?: boolean;
  readonly config?: string;
}

const exitCodes = { proven: 0, failed: 1, usage: 2, notProven: 3, interrupted: 130 } as const;

const program = new Command("nanoactor")
  .description("OTP-style actors over worker threads, and a live-migration kit built on them")
  .version(versionOf(), "--version", "print the version")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : exitCodes.usage));

program
  .command("migrate")
  .description(
    "move five live backends from one site to another under traffic and faults, and prove that nothing was lost",
  )
  .option("--users <n>", "how many users the population has (default 20000)", wholeNumber)
  .option("--seconds <n>", "how long traffic runs (default 80)", wholeNumber)
  .option("--seed <n>", "makes population, traffic and faults repeatable (default 0)", wholeNumber)
  .option("--threads <n>", "worker threads; 0 runs all on the main one (default 2)", wholeNumber)
  .option("--shards <n>", "shards of each site (default 2)", wholeNumber)
  .option("--backends <names>", "comma-separated (default: all five)", (text) => text.split(","))
  .option(
    "--routing <routing>",
    "sticky_queue, consistent_hash, queue, or backend=routing,... (default sticky_queue)",
  )
  .option("--durability <level>", "group, sync or os (default group)")
  .option("--no-faults", "let the remote and the threads be well")
  .option(
    "--data <directory>",
    "where the sites live; an interrupted run goes on there (default: a new one in .data/)",
  )
  .option("--report <directory>", "where report.json goes (default: report/ in the data directory)")
  .option("--json", "print the report, and nothing else, to standard output")
  .option("--config <file>", "a JSON file with these fields; options stand above it")
  .action(runMigrate);

program
  .command("plan")
  .description("say what a configuration would do, and what is refused and why")
  .requiredOption("--config <file>", "a JSON file")
  .action(({ config }: { readonly config: string }) => {
    const { text, refused } = planText(readConfig(config, {}));
    process.stdout.write(`${text}\n`);
    if (refused) process.exitCode = exitCodes.usage;
  });

addSimulateCommand(program, exitCodes.notProven);
program.addCommand(auditCommand(exitCodes));
addReplayCommand(program, exitCodes);

async function runMigrate(flags: MigrateFlags): Promise<void> {
  const settings = prepareData(refuseUnsafe(readConfig(flags.config, overridesOf(flags))), flags.data);
  const goOn = `to go on: nanoactor migrate --data ${settings.dataDirectory} (with the same options)`;
  process.once("SIGINT", () => {
    process.stderr.write(`\ninterrupted; ${goOn}\n`);
    process.exit(exitCodes.interrupted);
  });
  try {
    const report = await migrate(settings, { quiet: flags.json === true });
    const path = writeReport(report, flags.report ?? defaultReportDirectory(settings));
    const text =
      flags.json === true ? JSON.stringify(report, undefined, 2) : `${summary(report)}\n  report ${path}`;
    process.stdout.write(`${text}\n`);
    process.exitCode = report.proven ? exitCodes.proven : exitCodes.notProven;
  } catch (error) {
    process.stderr.write(`${goOn}\n`);
    throw error;
  }
}

function overridesOf(flags: MigrateFlags): ConfigOverrides {
  const { users, seconds, seed, threads, shards, backends, durability, faults, routing } = flags;
  return {
    users,
    seconds,
    seed,
    threads,
    shards,
    backends,
    durability: durability as ConfigOverrides["durability"],
    // commander sets it to true when --no-faults is absent; the file decides then.
    faults: faults ? undefined : false,
    routing: routing === undefined ? undefined : parseRouting(routing),
  };
}

/** Of the package; this file is compiled into dist/app. */
function versionOf(): string {
  const path = fileURLToPath(new URL("../../package.json", import.meta.url));
  return (JSON.parse(readFileSync(path, "utf8")) as { readonly version: string }).version;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`nanoactor: ${toErrorData(error).message}\n`);
  process.exit(isConfigError(error) ? exitCodes.usage : exitCodes.failed);
});
