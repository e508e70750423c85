/**
 * `npm run sabotage -- NAME|--all|--clean [--users N] [--seconds N] [--seed N]`: the main job with one broken twin.
 * Exit codes as the command's: 3 with a twin, because its proof must fail and name a key; 0 with `--clean`, the same
 * run of the product. `--all` runs each twin and the product, and exits with 0 if each ended as it must.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { prepareData, readConfig } from "../../app/config.ts";
import { migrate } from "../../app/migrate.ts";
import { type Report, summary } from "../../app/report.ts";
import { twinVariable } from "./twin_variable.ts";
import { twins } from "./twins.ts";

const notProven = 3;

interface Flags {
  readonly all?: boolean;
  readonly clean?: boolean;
  readonly users: string;
  readonly seconds: string;
  readonly seed: string;
}

const program = new Command("sabotage")
  .argument("[name]", `one of ${Object.keys(twins).join(", ")}`)
  .option("--all", "every twin, then the product")
  .option("--clean", "the product, with the same seed")
  .option("--users <n>", "", "2000")
  .option("--seconds <n>", "", "24")
  .option("--seed <n>", "", "7")
  .action(main);

async function main(name: string | undefined, flags: Flags): Promise<void> {
  if (flags.all === true) {
    process.exitCode = (await runAll(flags)) ? 0 : 1;
    return;
  }
  if (flags.clean !== true && (name === undefined || twins[name] === undefined)) {
    process.stderr.write(`sabotage: give --all, --clean or one of ${Object.keys(twins).join(", ")}\n`);
    process.exitCode = 2;
    return;
  }
  const report = await runOne(flags.clean === true ? undefined : name, flags);
  process.exitCode = namesKeys(report) ? notProven : report.proven ? 0 : 1;
}

async function runAll(flags: Flags): Promise<boolean> {
  const wrong: string[] = [];
  for (const name of Object.keys(twins)) {
    if (!namesKeys(await runOne(name, flags))) wrong.push(name);
  }
  if (!(await runOne(undefined, flags)).proven) wrong.push("the product");
  const count = Object.keys(twins).length + 1;
  process.stdout.write(
    `${count - wrong.length} of ${count} ended as they must${wrong.map((each) => `; not so: ${each}`).join("")}\n`,
  );
  return wrong.length === 0;
}

async function runOne(twin: string | undefined, { users, seconds, seed }: Flags): Promise<Report> {
  process.stdout.write(`\n== ${twin ?? "the product"}\n`);
  if (twin === undefined) delete process.env[twinVariable];
  else process.env[twinVariable] = twin;
  const directory = mkdtempSync(join(tmpdir(), "nanoactor-sabotage-"));
  try {
    const numbers = { users: Number(users), seconds: Number(seconds), seed: Number(seed) };
    const settings = prepareData(readConfig(undefined, numbers), directory);
    const system = new URL("./system.js", import.meta.url);
    const report = await migrate(settings, { quiet: false, untilDisproved: true, system });
    process.stdout.write(`${summary(report)}\n`);
    return report;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The proof failed for the right reason: it shows at least one key that was lost or that nothing stands for. */
function namesKeys({ proven, acknowledged, unaccounted }: Report): boolean {
  return !proven && acknowledged.lostKeys.length + unaccounted.examples.length > 0;
}

await program.parseAsync();
