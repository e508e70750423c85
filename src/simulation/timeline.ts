/**
 * Virtual time and the loop that moves it: takes the first event of the heap, sets the time to its time, runs it, lets
 * every microtask that follows from it run, and takes the next. Time stands still while code runs.
 *
 * Always true: time never goes back; an event runs when everything before it, and all that followed, has run.
 */

import { assert } from "../base/assert.ts";
import type { SeededStreams } from "../base/seeded_streams.ts";
import { EventQueue, type ScheduledEvent } from "./event_queue.ts";
import { simulationLimits } from "./limits.ts";
import { drainMicrotasks, inEventLoop } from "./microtasks.ts";
import { Trace } from "./trace.ts";
import type { WorldGuard } from "./world_guard.ts";

/**
 * Which of several events of one instant comes first: the one scheduled first, or whichever chance picks; and which of
 * several ready processes: the first, whichever chance picks, or (`pct`) the one of the highest random priority.
 */
export type Order = "fifo" | "random" | "pct";

/** The simulation can't go on: it waits for nothing, or never ends. Its message ends with the last events. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";
}

export type Watch = () => unknown;

const nothing = (): void => undefined;

/** Virtual times are kept to the microsecond: sums of random delays stay readable and equal on every machine. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

export class Timeline {
  readonly trace: Trace;
  readonly #queue = new EventQueue();
  readonly #chance: SeededStreams;
  readonly #order: Order;
  readonly #watchers = new Set<Watch>();
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  #eventsOfInstant = 0;
  /** Who waits until nothing is left to happen. */
  #idle: (() => void)[] = [];

  /** Of what the simulation's code does; undefined if it may reach the real world. */
  readonly guard: WorldGuard | undefined;

  constructor(chance: SeededStreams, order: Order, guard?: WorldGuard, traceLinesMax?: number) {
    this.trace = new Trace(traceLinesMax);
    this.guard = guard;
    this.#chance = chance;
    this.#order = order;
  }

  /** Ms since the simulation began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get order(): Order {
    return this.#order;
  }

  /** Events run so far. */
  get events(): number {
    return this.#events;
  }

  schedule(delayMs: number, label: string, run: ScheduledEvent["run"]): ScheduledEvent {
    assert(delayMs >= 0, "nothing happens before now");
    const tie = this.#order !== "fifo" ? this.#chance.next("simulation.order") : 0;
    const atMs = rounded(this.#nowMs + delayMs);
    const event = { atMs, tie, sequence: this.#sequence++, label, run, canceled: false };
    this.#queue.push(event);
    return event;
  }

  cancel(event: ScheduledEvent): void {
    this.#queue.cancel(event);
  }

  /**
   * `watch` runs after each event, when all that followed from it has run; false: it only looked, and nothing follows
   * from that. Returns how to end that.
   */
  watch(watch: Watch): () => void {
    this.#watchers.add(watch);
    return () => this.#watchers.delete(watch);
  }

  /** Resolves when nothing is left to happen. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /**
   * Runs `begin`, then events until `ended`. Errors: `SimulationError`; `RealWorldError`; what an event or a watcher
   * throws.
   */
  run(begin: () => void, ended: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const turn = (first: () => void): void => {
        this.guard?.enter();
        try {
          first();
          const outside = this.#play(ended);
          if (outside === undefined) resolve();
          // Only what comes from outside takes real time (a module that is loaded): the world stands still meanwhile.
          else outside.then(() => inEventLoop(() => turn(nothing)), reject);
        } catch (error) {
          reject(error);
        } finally {
          this.guard?.leave();
        }
      };
      inEventLoop(() => turn(begin));
    });
  }

  /** Until the end, or until something takes real time: then it is returned. */
  #play(ended: () => boolean): Promise<void> | undefined {
    for (let events = 0; ; events++) {
      drainMicrotasks();
      // What a watcher sets off has to run, too, before the next event.
      if (this.#watch()) drainMicrotasks();
      this.guard?.check();
      if (ended()) return undefined;
      if (events === simulationLimits.eventsPerTurn) return Promise.resolve();
      const event = this.#queue.pop();
      const running = event === undefined ? this.#rest() : this.#happen(event);
      if (running instanceof Promise) return running;
    }
  }

  /** True if there is somebody who may have set something off. */
  #watch(): boolean {
    let mayFollow = false;
    for (const watch of this.#watchers) if (watch() !== false) mayFollow = true;
    return mayFollow;
  }

  #happen(event: ScheduledEvent): void | Promise<void> {
    this.#count(event);
    this.#nowMs = event.atMs;
    this.trace.event(event.atMs, event.label);
    return event.run();
  }

  #rest(): void {
    const waiting = this.#idle.splice(0);
    if (waiting.length === 0) throw this.error("nothing is left to happen, and the scenario still waits");
    for (const resolve of waiting) resolve();
  }

  #count({ atMs }: ScheduledEvent): void {
    const { eventsMax, eventsPerInstantMax, virtualMsMax } = simulationLimits;
    this.#events++;
    this.#eventsOfInstant = atMs === this.#nowMs ? this.#eventsOfInstant + 1 : 1;
    if (this.#events > eventsMax) throw this.error(`more than ${eventsMax} events`);
    if (this.#eventsOfInstant > eventsPerInstantMax) throw this.error("time stands still");
    if (atMs > virtualMsMax) throw this.error(`more than ${virtualMsMax} virtual ms`);
  }

  /** An error whose message ends with what happened last. */
  error(why: string): SimulationError {
    const last = this.trace.lines().map((line) => `  ${line}`);
    return new SimulationError(
      `at ${this.#nowMs} ms, event ${this.#events}: ${why}; last:\n${last.join("\n")}`,
    );
  }
}
