/** Plays tests and tells how each ended, for commands that print a table of what they show. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../tidy/project.ts";

export interface PlayedTest {
  /** With the names of what it stands in. */
  readonly fullName: string;
  readonly title: string;
  readonly status: string;
  /** The compiled file. */
  readonly file: string;
  readonly failureMessages: readonly string[];
}

export interface Played {
  readonly tests: readonly PlayedTest[];
  /** In words: tests that did not pass, and files that could not be run. */
  readonly wrong: readonly string[];
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly Omit<PlayedTest, "file">[];
  }[];
}

/** Runs the compiled tests below this folder of the project. */
export function playTests(folder: string): Played {
  const { testResults } = play(folder);
  const tests = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((test) => ({ ...test, file: name })),
  );
  const failed = tests
    .filter(({ status }) => status !== "passed")
    .map(({ fullName, status, failureMessages }) => `${status}: ${fullName}\n${failureMessages.join("\n")}`);
  const unread = testResults
    .filter(({ status, assertionResults }) => status !== "passed" && assertionResults.length === 0)
    .map(({ name, message }) => `can't be run: ${name}\n${message}`);
  return { tests, wrong: [...unread, ...failed] };
}

function play(folder: string): Report {
  const made = mkdtempSync(join(tmpdir(), "nanoactor-table-"));
  try {
    const results = join(made, "results.json");
    const vitest = join(projectRoot, "node_modules/vitest/vitest.mjs");
    const { error } = spawnSync(
      process.execPath,
      [vitest, "run", folder, "--reporter=json", `--outputFile=${results}`],
      { cwd: projectRoot, stdio: ["ignore", "ignore", "inherit"] },
    );
    if (error !== undefined) throw error;
    return JSON.parse(readFileSync(results, "utf8")) as Report;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}
