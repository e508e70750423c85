/** The command's two child processes, each with its messages; whatever happens, none is left behind. */

import { type ChildProcess, fork } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { NanoError } from "../src/index.ts";

type Typed = { readonly type: string };

export class Child<ToChild extends Typed, FromChild extends Typed> {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<string, (message: FromChild) => void>();
  readonly #early = new Map<string, FromChild>();
  #onMessage: (message: FromChild) => void = () => undefined;
  /** Rejects when the child fails or ends before it was told to. */
  readonly failed: Promise<never>;
  readonly ended: Promise<void>;
  #told = false;

  /** What the child writes to standard error (its log) is appended to `logPath`. */
  constructor(name: string, module: URL, argument: unknown, logPath: string) {
    this.name = name;
    const log = openSync(logPath, "a");
    this.#process = fork(module, [JSON.stringify(argument)], {
      serialization: "advanced",
      // With 1,024 operations in flight the default of 16 MB promotes what dies soon: a tenth of the time was GC.
      execArgv: [...process.execArgv, "--max-semi-space-size=32"],
      // LMDB commits and syncs of many shards run at once on it.
      env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
      stdio: ["ignore", "inherit", log, "ipc"],
    });
    closeSync(log);
    this.ended = new Promise((resolve) => this.#process.once("exit", () => resolve()));
    this.failed = new Promise((_, reject) => {
      this.#process.once("exit", (code, signal) => {
        if (!this.#told)
          reject(new NanoError("crashed", `the ${name} ended early (${signal ?? `exit code ${code}`})`));
      });
      this.#process.on("message", (message) => {
        const typed = message as FromChild & { readonly message?: string };
        if (typed.type === "failed")
          reject(new NanoError("crashed", `the ${name} failed: ${typed.message ?? ""}`));
        else this.#take(typed);
      });
    });
    this.failed.catch(() => undefined);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  onMessage(handler: (message: FromChild) => void): void {
    this.#onMessage = handler;
  }

  send(message: ToChild): void {
    if (this.#process.connected) this.#process.send(message);
  }

  /** The next message of a type that comes once. Rejects when the child fails first. */
  next<Type extends FromChild["type"]>(type: Type): Promise<Extract<FromChild, { readonly type: Type }>> {
    const early = this.#early.get(type);
    const arrival = new Promise<FromChild>((resolve) => {
      if (early === undefined) this.#waiting.set(type, resolve);
      else resolve(early);
    });
    return Promise.race([arrival as Promise<Extract<FromChild, { readonly type: Type }>>, this.failed]);
  }

  /** From here on its end is expected. */
  told(): void {
    this.#told = true;
  }

  /** Lets it end by itself; after `graceMs` it is killed. */
  async end(graceMs: number): Promise<void> {
    this.told();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), graceMs);
    if (this.#process.connected) this.#process.disconnect();
    await this.ended;
    clearTimeout(timer);
  }

  #take(message: FromChild): void {
    this.#onMessage(message);
    const resolve = this.#waiting.get(message.type);
    if (resolve === undefined) this.#early.set(message.type, message);
    else {
      this.#waiting.delete(message.type);
      resolve(message);
    }
  }
}
