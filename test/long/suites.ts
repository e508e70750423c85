/**
 * The suites that take minutes, each at its full length and at a tenth of it: commands of the compiled tests and
 * product, run one after the other, each with the exit code that is right for it. A new suite is one entry here.
 */

export interface LongCommand {
  /** From `dist/`. */
  readonly script: string;
  readonly options: readonly string[];
  readonly exitCode: number;
}

export interface LongSuite {
  /** What it proves, as `--list` prints it. */
  readonly proves: string;
  readonly full: readonly LongCommand[];
  readonly tenth: readonly LongCommand[];
}

/** `<temporary>` in the options becomes a folder that is removed if the command ends as it must. */
export const temporaryFolder = "<temporary>";

/** What the command and the sabotage runner end with when the proof found a fault. */
const notProven = 3;

function command(script: string, options: string, exitCode = 0): LongCommand {
  return { script, options: options.split(" ").filter((option) => option !== ""), exitCode };
}

function migrate(options: string): LongCommand {
  return command("app/main.js", `migrate --data ${temporaryFolder} ${options}`);
}

function sabotage(options: string, exitCode = 0): LongCommand {
  return command("test/sabotage/run.js", options, exitCode);
}

function killSteps(options: string): LongCommand {
  return command("test/long/kill_steps.js", options);
}

export const longSuites: Readonly<Record<string, LongSuite>> = {
  "main-job": {
    proves: "five live backends move between two sites under faults, and nothing is lost",
    full: [migrate("")],
    tenth: [migrate("--users 2000 --seconds 15")],
  },
  sabotage: {
    proves: "the main job's proof fails for broken twins of the actors, and for them only",
    full: [sabotage("--all")],
    tenth: [
      sabotage("drop-dirty-mark --users 1000 --seconds 10", notProven),
      sabotage("repair-cached-value --users 1000 --seconds 10", notProven),
      sabotage("--clean --users 1000 --seconds 10"),
    ],
  },
  swarm: {
    proves: "migrations under faults that each seed draws lose nothing and come to rest",
    full: [command("app/main.js", "simulate --seeds 10000")],
    tenth: [command("app/main.js", "simulate --seeds 500 --from 1000")],
  },
  mutants: {
    proves: "each planted mutant is caught by a seed of the swarm, and its plan shrunk",
    full: [command("test/sim/mutants/run.js", "")],
    tenth: [command("test/sim/mutants/run.js", "--seeds 20 --quick")],
  },
  mutation: {
    proves:
      "every small change of what a write passes is noticed, or is harmless for a reason that is written down",
    full: [command("test/mutation/run.js", "--minutes 35")],
    tenth: [command("test/mutation/run.js", "--sample 60 --minutes 2")],
  },
  flood: {
    proves:
      "two threads that flood each other through full rings go on and lose nothing, and hear of a death at once",
    full: [command("test/long/flood.js", "--seconds 60 --deaths 40")],
    tenth: [command("test/long/flood.js", "--seconds 6 --deaths 10")],
  },
  kill: {
    proves: "a migration whose system is killed again and again goes on and loses nothing",
    full: [command("test/long/kill_rounds.js", "--rounds 20")],
    tenth: [command("test/long/kill_rounds.js", "--rounds 2 --users 1000 --seconds 12")],
  },
  soak: {
    proves:
      "under load, deaths and resizes every job of a factory is accounted for, in order, and memory is flat",
    full: [command("test/long/soak.js", "--seconds 600")],
    tenth: [command("test/long/soak.js", "--seconds 60")],
  },
  "kill-steps": {
    proves: "a process killed at each step of a write, a compaction and a failover loses nothing; twins do",
    full: [
      killSteps("--cycles 200"),
      killSteps("--cycles 60 --twin ack-before-apply"),
      killSteps("--cycles 60 --twin unmarked"),
      killSteps("--cycles 60 --twin undrained"),
    ],
    tenth: [killSteps("--cycles 20"), killSteps("--cycles 20 --twin unmarked")],
  },
  "crash-images": {
    proves:
      "whatever a loss of power leaves of a traced run, nothing acknowledged is missing; without syncs it is",
    full: [command("test/long/crash_images.js", "--images 1400")],
    tenth: [command("test/long/crash_images.js", "--images 100")],
  },
};
