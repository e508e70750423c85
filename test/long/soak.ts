/**
 * `npm run long -- soak`: the runtime for minutes under load, while workers and threads die, factories are resized and
 * more is asked than they can do. Prints a table and ends with 1 if a promise was broken:
 *
 * - each job ends exactly once: sent = handled + discarded + dead, and nothing is in flight at the end. Whether one
 *   whose caller gave up was handled or discarded, the workers' own notes say;
 * - what was answered was begun once, what was discarded never, nothing twice;
 * - no job is begun after a later one of its key, where the routing keeps that order;
 * - what the factories counted is what their callers saw;
 * - each killed thread is replaced, and memory is flat in the second half.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Command } from "commander";
import {
  consistentHash,
  type Factory,
  hasCode,
  NanoError,
  queue,
  type System,
  startSystem,
  stickyQueue,
} from "../../src/index.ts";
import { type SoakArgs, type SoakJob, type SoakMemory, soak_worker } from "./soak_worker.ts";

const keys = 200;
const threads = 2;
/** Sizes are drawn between these. */
const workersMin = 2;
const workersMax = 12;
/** Jobs that may wait in a factory: bursts are larger. */
const waitingMax = 300;
const burst = 500;
/** Jobs of the whole soak; with more the sender waits for the end. */
const jobsMax = 8_000_000;

const everyMs = { steady: 2, burst: 400, crash: 60, resize: 250, kill: 8_000, sample: 2_000 } as const;

const routings = [
  { name: "sticky", routing: stickyQueue(), ordered: 0 },
  { name: "hash", routing: consistentHash(), ordered: 1 },
  { name: "queue", routing: queue(), ordered: undefined },
] as const;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

type Outcome = "answered" | "discarded" | "dead" | "given up";

interface Counts extends Record<Outcome, number> {
  sent: number;
  /** Of those whose callers gave up: whether a worker had begun it. */
  handledUnheard: number;
  discardedUnheard: number;
}

class Soak {
  readonly #memory: SoakMemory = {
    begun: new SharedArrayBuffer(jobsMax * Int32Array.BYTES_PER_ELEMENT),
    latest: new SharedArrayBuffer(2 * keys * Int32Array.BYTES_PER_ELEMENT),
    overtaken: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
  };
  readonly #begun = new Int32Array(this.#memory.begun);
  /** By job; 0: no outcome yet. */
  readonly #outcomes = new Uint8Array(jobsMax);
  /** By job: the factory's place. */
  readonly #factoryOf = new Uint8Array(jobsMax);
  readonly #factories: {
    readonly name: string;
    readonly factory: Factory<typeof soak_worker>;
    readonly counts: Counts;
  }[] = [];
  readonly #faults = new Map<string, number>();
  readonly #pending = new Set<Promise<void>>();
  /** MiB. The heap is the main thread's, rss the whole process's. */
  readonly #memories = { heap: [] as number[], rss: [] as number[] };
  #next = 0;
  #ended = false;
  #killed = 0;
  #crashes = 0;
  #resizes = 0;

  async run(seconds: number): Promise<boolean> {
    const system = await startSystem({
      threads,
      setup: {
        module: new URL("./soak_worker.js", import.meta.url).href,
        export: "soakResources",
        options: this.#memory,
      },
      logLevel: "silent",
    });
    try {
      for (const { name, routing, ordered } of routings) {
        const args: SoakArgs = { ordered, keys };
        const options = { args, workers: 6, routing, thread: "any", jobs: { max: waitingMax } } as const;
        const counts = {
          ...{ sent: 0, answered: 0, discarded: 0, dead: 0, "given up": 0 },
          ...{ handledUnheard: 0, discardedUnheard: 0 },
        };
        this.#factories.push({
          name,
          factory: await system.startFactory(name, soak_worker, options),
          counts,
        });
      }
      const works = [
        this.#every("steady", () => this.#send(10, "work")),
        this.#every("burst", () => this.#send(burst, "work")),
        this.#every("crash", () => this.#crash()),
        this.#every("resize", () => this.#resize()),
        this.#every("kill", () => this.#kill()),
        this.#every("sample", () => this.#sample()),
      ];
      await sleep(seconds * 1_000);
      this.#ended = true;
      await Promise.all(works);
      await Promise.all(this.#pending);
      await this.#check(system);
    } finally {
      await system.stop();
    }
    return this.#report(seconds);
  }

  async #every(what: keyof typeof everyMs, work: () => void): Promise<void> {
    for (;;) {
      await sleep(everyMs[what]);
      if (this.#ended) return;
      work();
    }
  }

  #send(count: number, method: keyof typeof soak_worker.callbacks.call): void {
    for (let i = 0; i < count && this.#next < jobsMax; i++) {
      const place = Math.floor(Math.random() * this.#factories.length);
      const to = this.#factories[place];
      if (to === undefined) return;
      this.#factoryOf[this.#next] = place;
      const job: SoakJob = {
        id: this.#next++,
        key: Math.floor(Math.random() ** 2 * keys),
        ms: Math.random() < 0.1 ? Math.floor(Math.random() * 20) : 0,
        load: "x".repeat(Math.floor(Math.random() * 200)),
      };
      to.counts.sent++;
      const given =
        Math.random() < 0.01 ? AbortSignal.timeout(1 + Math.floor(Math.random() * 10)) : undefined;
      const options = { timeoutMs: 60_000, ...(given === undefined ? {} : { signal: given }) };
      const ended = to.factory.call(`key ${job.key}`, String(method), job, options).then(
        (answer) => {
          if (answer !== job.id) this.#fault("the answer of another job");
          this.#end(job, to.counts, "answered");
        },
        (error: unknown) => this.#end(job, to.counts, this.#outcomeOf(error)),
      );
      this.#pending.add(ended);
      ended.finally(() => this.#pending.delete(ended)).catch(() => undefined);
    }
  }

  #outcomeOf(error: unknown): Outcome {
    if (hasCode(error, "discarded") || hasCode(error, "overloaded")) return "discarded";
    if (hasCode(error, "crashed") || hasCode(error, "noproc")) return "dead";
    if (hasCode(error, "canceled")) return "given up";
    this.#fault(`ended with ${error instanceof NanoError ? error.code : String(error)}`);
    return "dead";
  }

  #end({ id }: SoakJob, counts: Counts, outcome: Outcome): void {
    counts[outcome]++;
    if (this.#outcomes[id] !== 0) this.#fault("a job that ended twice");
    this.#outcomes[id] = 1 + outcomes.indexOf(outcome);
  }

  #crash(): void {
    this.#crashes++;
    this.#send(1, "crash");
  }

  #resize(): void {
    const one = this.#factories[Math.floor(Math.random() * this.#factories.length)];
    const workers = workersMin + Math.floor(Math.random() * (workersMax - workersMin));
    this.#resizes++;
    // A thread that dies meanwhile takes the new workers along: then nothing changes, and the next one comes.
    one?.factory.resize(workers).catch((error: unknown) => {
      if (!hasCode(error, "crashed") && !hasCode(error, "noproc"))
        this.#fault(`resize ended with ${String(error)}`);
    });
  }

  #kill(): void {
    this.#killed++;
    this.#send(1, Math.random() < 0.5 ? "exitThread" : "failThread");
  }

  #sample(): void {
    collectGarbage();
    const { heapUsed, rss } = process.memoryUsage();
    this.#memories.heap.push(heapUsed / 1024 ** 2);
    this.#memories.rss.push(rss / 1024 ** 2);
  }

  #fault(what: string): void {
    this.#faults.set(what, (this.#faults.get(what) ?? 0) + 1);
  }

  async #check(system: System): Promise<void> {
    for (let id = 0; id < this.#next; id++) {
      const outcome = outcomes[(this.#outcomes[id] ?? 0) - 1];
      const begun = this.#begun[id] ?? 0;
      if (outcome === undefined) this.#fault("a job without an end");
      if (begun > 1) this.#fault("a job that was begun twice");
      if (outcome === "answered" && begun !== 1) this.#fault("an answered job that was not begun");
      if (outcome === "discarded" && begun !== 0) this.#fault("a discarded job that was begun");
      const counts = this.#factories[this.#factoryOf[id] ?? 0]?.counts;
      if (outcome === "given up" && counts !== undefined)
        counts[begun > 0 ? "handledUnheard" : "discardedUnheard"]++;
    }
    const overtaken = new Int32Array(this.#memory.overtaken)[0] ?? 0;
    if (overtaken > 0) this.#faults.set("a job that overtook another of its key", overtaken);
    for (const { name, factory, counts } of this.#factories) {
      const { waiting, running, done, crashed, canceled, orderViolations } = await factory.statistics();
      if (waiting + running > 0) this.#fault(`${name}: ${waiting} wait and ${running} run in the end`);
      if (orderViolations > 0) this.#fault(`${name}: ${orderViolations} violations of its order`);
      // A caller that gave up while its job ran does not hear how it ended.
      const unheard = counts["given up"];
      const heard = counts.answered + counts.dead;
      const counted = done + crashed + canceled;
      if (counted < heard - unheard || counted > heard + unheard)
        this.#fault(`${name}: ${counted} jobs ran to an end, but ${heard} heard`);
    }
    const deadlineMs = performance.now() + 10_000;
    while (system.threads().length < threads + 1 && performance.now() < deadlineMs) await sleep(50);
    if (system.threads().length < threads + 1) this.#fault("a killed thread that was not replaced");
  }

  #report(seconds: number): boolean {
    const lines = [columns(["factory", "sent", "handled", "discarded", "dead", "in flight"])];
    for (const { name, counts } of this.#factories) {
      const handled = counts.answered + counts.handledUnheard;
      const discarded = counts.discarded + counts.discardedUnheard;
      const inFlight = counts.sent - handled - discarded - counts.dead;
      if (inFlight !== 0) this.#fault(`${name}: ${inFlight} jobs are not accounted for`);
      lines.push(columns([name, counts.sent, handled, discarded, counts.dead, inFlight]));
    }
    lines.push(
      `in ${seconds} s: ${this.#killed} threads killed, ${this.#crashes} crashes, ${this.#resizes} resizes`,
    );
    lines.push(this.#memoryLine("heap"), this.#memoryLine("rss"));
    for (const [what, times] of this.#faults) lines.push(`FAULT ${what}: ${times}`);
    process.stdout.write(
      `${lines.join("\n")}\n${this.#faults.size === 0 ? "the soak is clean" : "NOT clean"}\n`,
    );
    return this.#faults.size === 0;
  }

  /** The least of each quarter: jobs are under way whenever memory is looked at. */
  #memoryLine(what: "heap" | "rss"): string {
    const samples = this.#memories[what];
    const quarter = Math.floor(samples.length / 4);
    const least = (n: number): number => Math.min(...samples.slice(n * quarter, (n + 1) * quarter));
    const [third, last] = [least(2), least(3)];
    if (last > third * growthMax + noiseMiB[what])
      this.#fault(`${what} grew from ${third.toFixed(1)} to ${last.toFixed(1)} MiB`);
    return `${what}: ${third.toFixed(1)} MiB in the third quarter, ${last.toFixed(1)} in the last`;
  }
}

function columns(cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(11)).join("");
}

const outcomes = ["answered", "discarded", "dead", "given up"] as const satisfies readonly Outcome[];

const growthMax = 1.1;
/** A short soak has little memory, and new threads have not all of theirs at once. */
const noiseMiB = { heap: 4, rss: 32 };

await new Command("soak")
  .option("--seconds <n>", "how long", "600")
  .action(async ({ seconds }: { readonly seconds: string }) => {
    if (!(await new Soak().run(Number(seconds)))) process.exitCode = 1;
  })
  .parseAsync();
