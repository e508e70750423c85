/**
 * One life of a victim: started on a data directory, killed by SIGKILL where it stands still at a named step or at a
 * moment, and what it left judged by this process, which shares nothing with it but the clients of what it wrote.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import type { CrashTwin } from "../fixtures/crash_setup.ts";
import { isFrequent, needsFreshData, type Step } from "../fixtures/crash_steps.ts";
import { readDirectory } from "./disk_view.ts";
import { Journal, judge, type Verdict } from "./judge.ts";

export const victimProgram = fileURLToPath(new URL("../fixtures/crash_victim.js", import.meta.url));
export const judged = { backend: "profile_picture", prefixes: ["+49", "+33"] };
export const sites = ["A", "B"];

/** A start takes half a second, on a busy machine several; what is not settled after so long does not converge. */
const settleMsMax = 30_000;
/** A step that is not reached within this is missed, and the kill comes anyway. */
const reachMsMax = { any: 4_000, fresh: 8_000 };
/** Kills that wait for no step come within this after the load began; those that park linger less. */
const momentMsMax = 700;
const lingerMsMax = 40;

export interface CycleResult {
  readonly step: Step | "";
  /** False: the victim was killed before it came to its step. */
  readonly reached: boolean;
  /** The data directory was settled before the load, and both sides equal. */
  readonly converged: boolean;
  readonly faults: readonly string[];
  readonly acknowledged: number;
  readonly differing: number;
}

/** A data directory and its journal, over many lives. */
export class KilledDirectory {
  readonly path: string;
  readonly journal: Journal;
  lives = 0;
  /** What it began with is what a loss of power left. */
  readonly #powerLost: boolean;

  constructor(
    path = mkdtempSync(join(tmpdir(), "nanoactor-kill-steps-")),
    journal: Journal = new Journal(),
    powerLost = false,
  ) {
    this.#powerLost = powerLost;
    this.path = path;
    this.journal = journal;
  }

  /** One life that only recovers what it finds. Returns what is wrong with it, in words. */
  async recover(random: Xoshiro128): Promise<readonly string[]> {
    const victim = new Victim(this, "", random, "");
    const settled = await victim.heard(["settled", "unready"], settleMsMax);
    const faults =
      settled === undefined ? [`not settled ${settleMsMax} ms after its start: ${victim.last}`] : [];
    if (settled === "settled") faults.push(...(await this.#judge(true)).faults);
    await victim.kill();
    return faults;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** One life and death. `step` "": killed at a moment that is drawn. */
  async cycle(step: Step | "", random: Xoshiro128, twin: CrashTwin = ""): Promise<CycleResult> {
    const before = this.journal.acknowledged;
    const victim = new Victim(this, step, random, twin);
    this.lives++;
    const faults: string[] = [];
    let converged = false;
    const settled = await victim.heard(["settled", "unready", "at"], settleMsMax);
    if (settled === undefined) faults.push(`not settled ${settleMsMax} ms after its start: ${victim.last}`);
    if (settled === "settled") {
      const verdict = await this.#judge(true);
      faults.push(...verdict.faults.map((fault) => `after its recovery: ${fault}`));
      converged = true;
    }
    if (settled === "settled" || settled === "unready") {
      victim.go();
      const fresh = step !== "" && needsFreshData(step);
      const waitMs = step === "" ? random.float() * momentMsMax : reachMsMax[fresh ? "fresh" : "any"];
      await victim.heard(["at"], waitMs);
    }
    if (victim.isAtStep && victim.parks) await sleep(random.float() * lingerMsMax);
    await victim.kill();
    const verdict = await this.#judge(false);
    faults.push(...verdict.faults.map((fault) => `after its death: ${fault}`));
    this.journal.settle(verdict.found);
    const acknowledged = this.journal.acknowledged - before;
    return { step, reached: victim.isAtStep, converged, faults, acknowledged, differing: verdict.differing };
  }

  async #judge(settled: boolean): Promise<Verdict> {
    return judge(await readDirectory(this.path, sites), this.journal, judged, {
      settled,
      powerLost: this.#powerLost,
    });
  }
}

class Victim {
  readonly parks: boolean;
  isAtStep = false;
  last = "";
  readonly #process: ChildProcess;
  readonly #closed: Promise<string>;
  readonly #heard = new Set<string>();
  #wanted: readonly string[] = [];
  #tell: (word: string | undefined) => void = () => undefined;

  constructor(
    { path, journal, lives }: KilledDirectory,
    step: Step | "",
    random: Xoshiro128,
    twin: CrashTwin,
  ) {
    this.parks = random.float() < 0.5;
    const often = step !== "" && isFrequent(step);
    const victim = {
      directory: path,
      durability: "group",
      twin,
      step,
      nth: 1 + Math.floor(random.float() * (often ? 40 : 2)),
      hold: this.parks ? "park" : "block",
      seed: Math.floor(random.float() * 2 ** 31),
      firstOperation: journal.highestOperation + 1,
      threads: 2,
      acknowledgements: 0,
      life: lives,
    };
    this.#process = spawn(process.execPath, [victimProgram, JSON.stringify(victim)], {
      stdio: ["pipe", "inherit", "inherit", "pipe"],
    });
    const lines = createInterface({ input: this.#process.stdio[3] as Readable });
    lines.on("line", (line) => this.#line(line, journal));
    this.#closed = new Promise((resolve) => {
      this.#process.once("close", (code, signal) => {
        this.#tell(undefined);
        resolve(signal ?? `code ${code}`);
      });
    });
  }

  /** The first of these words that it says, or has said; undefined if none comes in time, or it ends. */
  heard(words: readonly string[], msMax: number): Promise<string | undefined> {
    const said = words.find((word) => this.#heard.has(word));
    if (said !== undefined) return Promise.resolve(said);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#tell(undefined), msMax);
      this.#wanted = words;
      this.#tell = (word) => {
        clearTimeout(timer);
        this.#wanted = [];
        this.#tell = () => undefined;
        resolve(word);
      };
    });
  }

  go(): void {
    this.#process.stdin?.write("go\n");
  }

  /** Resolves when it is dead and everything that it said was heard. Errors: if it had ended by itself. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    const end = await this.#closed;
    if (end !== "SIGKILL") throw new Error(`the victim ended by itself with ${end}, last said: ${this.last}`);
  }

  #line(line: string, journal: Journal): void {
    this.last = line;
    journal.read(line);
    const [word = ""] = line.split(" ");
    if (word === "at") this.isAtStep = true;
    this.#heard.add(word);
    if (this.#wanted.includes(word)) this.#tell(word);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
