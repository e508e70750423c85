/**
 * `node dist/test/sim/swarm_run.js [--from SEED] [--seeds N]`: swarms (swarm.ts) of N seeds, one after the other. For
 * each that fails it prints what was found, or how the play broke off, and the command that plays this seed again; at
 * the end, what all the faults together did. Exit codes: 0 nothing was found, 1 something was, 2 wrong usage.
 */

import { Command, InvalidArgumentError } from "commander";
import { type SwarmFindings, swarm } from "./swarm.ts";

interface Flags {
  readonly from: number;
  readonly seeds: number;
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

async function main({ from, seeds }: Flags): Promise<void> {
  let failed = 0;
  let acknowledged = 0;
  const fired: Record<string, number> = {};
  for (let seed = from; seed < from + seeds; seed++) {
    const found = await play(seed);
    if (typeof found !== "string") {
      acknowledged += found.acknowledged;
      for (const [fault, count] of Object.entries(found.fired)) fired[fault] = (fired[fault] ?? 0) + count;
    }
    const fault = faultOf(found);
    if (fault === undefined) continue;
    failed++;
    say(`seed ${seed}: ${fault}`);
    say(`  again: npm run -s build && node dist/test/sim/swarm_run.js --from ${seed} --seeds 1`);
  }
  say(`${failed} of ${seeds} seeds failed; ${acknowledged} writes acknowledged; faults: ${listed(fired)}`);
  if (failed > 0 || acknowledged === 0) process.exitCode = 1;
}

/** Or why the play broke off: a wait of the simulator that took too long, or a fault of the program. */
async function play(seed: number): Promise<SwarmFindings | string> {
  try {
    return (await swarm(seed)).result;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function faultOf(found: SwarmFindings | string): string | undefined {
  if (typeof found === "string") return found;
  const { lost, unaccounted, differing } = found;
  if (lost.length + unaccounted.length + differing.length === 0) return undefined;
  return JSON.stringify({ lost, unaccounted, differing, fired: found.fired });
}

function listed(fired: Readonly<Record<string, number>>): string {
  const counts = Object.entries(fired).sort(([, a], [, b]) => b - a);
  return counts.map(([fault, count]) => `${fault} ${count}`).join(", ") || "none";
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

await new Command("swarm")
  .option("--from <seed>", "the first", wholeNumber, 1)
  .option("--seeds <n>", "how many", wholeNumber, 20)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .action(main)
  .parseAsync();
