/** Erlang's gen_server as a contender: one `erl` with one scheduler, asked one measurement at a time over its stdin. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Compiled, this file lies in dist/bench/peers; the script is not copied there. */
const script = fileURLToPath(new URL("../../../bench/peers/gen_server.escript", import.meta.url));

/** What the script measures: per second, or bytes. */
export type ErlangQuestion = "call" | "cast" | "spawn" | "bytes";

export class Erlang {
  readonly release: string;
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  private constructor(release: string, process: ChildProcess, lines: Interface) {
    this.release = release;
    this.#process = process;
    this.#lines = lines;
  }

  /** Undefined where there is no Erlang. */
  static start(): Erlang | undefined {
    let release: string;
    try {
      const print = "io:put_chars(erlang:system_info(otp_release)), halt(0, [{flush, true}]).";
      release = execFileSync("erl", ["-noshell", "-eval", print], { encoding: "utf8" });
    } catch {
      return undefined;
    }
    const child = spawn("escript", [script], { stdio: ["pipe", "pipe", "inherit"] });
    return new Erlang(release, child, createInterface({ input: child.stdout }));
  }

  /** `size`: ms to measure for, or how many processes; `callers` beside each other, of calls alone. */
  ask(question: ErlangQuestion, size: number, callers = 1): Promise<number> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`Erlang ended before it answered ${question}`));
      this.#lines.once("close", ended);
      this.#lines.once("line", (line) => {
        this.#lines.off("close", ended);
        const value = Number(line);
        if (Number.isFinite(value)) resolve(value);
        else reject(new Error(`Erlang answered ${line}`));
      });
      this.#process.stdin?.write(`${question} ${size} ${callers}\n`);
    });
  }

  stop(): void {
    this.#process.stdin?.end();
  }
}
