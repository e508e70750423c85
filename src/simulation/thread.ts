/**
 * One life of one simulated thread: its clock, chance, executor and log. When the life ends, nothing that it had
 * scheduled happens any more: its timers, its disk's answers and its turns are gone, as with a killed thread.
 */

import { assert } from "../base/assert.ts";
import type { SeededStreams } from "../base/seeded_streams.ts";
import type { Xoshiro128 } from "../base/xoshiro128.ts";
import type { Clock, TimerHandle } from "../seams/clock.ts";
import type { Executor } from "../seams/executor.ts";
import type { Random } from "../seams/random.ts";
import type { ScheduledEvent } from "./event_queue.ts";
import { Priorities } from "./priorities.ts";
import type { Timeline } from "./timeline.ts";

/** What a thread's clock shows beside the virtual time; shared by the threads of a node. */
export interface WallClock {
  /** Wall-clock ms since 1970 at the simulation's begin. */
  readonly startMs: number;
  /** How much the node's clock is ahead (or behind, below 0). May be changed at any time: the clock jumps. */
  skewMs: number;
}

/** Node's timers count whole ms, and take 0 for 1. */
function timerDelay(delayMs: number): number {
  return Math.max(1, Math.ceil(delayMs));
}

export class SimulatedThread {
  readonly node: string;
  readonly thread: number;
  readonly incarnation: number;
  /** In labels: node, thread and incarnation. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly executor: Executor;
  readonly #timeline: Timeline;
  #alive = true;

  constructor(
    place: { readonly node: string; readonly thread: number; readonly incarnation: number },
    timeline: Timeline,
    chance: SeededStreams,
    wallClock: WallClock,
  ) {
    this.node = place.node;
    this.thread = place.thread;
    this.incarnation = place.incarnation;
    this.name = `${place.node}.${place.thread}.${place.incarnation}`;
    this.#timeline = timeline;
    this.random = this.#randomOf(chance);
    this.clock = this.#clockOf(wallClock);
    this.executor = this.#executorOf(chance);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** From now on nothing of it happens. */
  end(): void {
    this.#alive = false;
  }

  /** `run` happens after exactly `delayMs`, if the thread lives then. */
  defer(delayMs: number, label: string, run: ScheduledEvent["run"]): ScheduledEvent {
    return this.#timeline.schedule(delayMs, `${this.name} ${label}`, () => (this.#alive ? run() : undefined));
  }

  cancel(event: ScheduledEvent): void {
    this.#timeline.cancel(event);
  }

  /** Resolves after `delayMs`; never, if the thread has died by then. */
  sleep(delayMs: number, label = "sleep"): Promise<void> {
    return new Promise((resolve) => this.defer(delayMs, label, resolve));
  }

  /** Work that must meet the real world. */
  outside<T>(work: () => Promise<T>): Promise<T> {
    const { guard } = this.#timeline;
    return guard === undefined ? work() : guard.outside(work);
  }

  /** A delay between two bounds, drawn at this site. */
  delayMs(site: string, [least, most]: readonly [number, number]): number {
    return least + this.random.next(site) * (most - least);
  }

  #randomOf(chance: SeededStreams): Random {
    const at = (site: string): string => `${this.node}.${this.thread} ${site}`;
    const streams = new Map<string, Xoshiro128>();
    const streamOf = (site: string): Xoshiro128 => {
      let stream = streams.get(site);
      if (stream === undefined) {
        stream = chance.of(at(site));
        streams.set(site, stream);
      }
      return stream;
    };
    return {
      next: (site) => streamOf(site).float(),
      bytes: (site, count) => chance.bytes(at(site), count),
    };
  }

  #clockOf(wallClock: WallClock): Clock {
    const timers = new Map<number, ScheduledEvent>();
    const bornMs = this.#timeline.nowMs;
    let nextId = 1;
    return {
      now: () => Math.floor(wallClock.startMs + wallClock.skewMs + this.#timeline.nowMs),
      monotonicMs: () => this.#timeline.nowMs - bornMs,
      setTimer: (delayMs, callback): TimerHandle => {
        assert(delayMs >= 0 && Number.isFinite(delayMs), "delayMs is 0 or more");
        const id = nextId++;
        const event = this.defer(timerDelay(delayMs), "timer", () => {
          timers.delete(id);
          callback();
        });
        timers.set(id, event);
        return { id };
      },
      clearTimer: ({ id }) => {
        const event = timers.get(id);
        if (event === undefined) return;
        timers.delete(id);
        this.#timeline.cancel(event);
      },
    };
  }

  #executorOf(chance: SeededStreams): Executor {
    const executor: Executor = {
      soon: (task) => void this.defer(0, "run", task),
      later: (task) => void this.defer(0, "run on", task),
    };
    if (this.#timeline.order === "fifo") return executor;
    const site = `${this.node}.${this.thread} simulation.choose`;
    const draw = (): number => chance.next(site);
    if (this.#timeline.order === "random")
      return { ...executor, choose: (count) => Math.floor(draw() * count) };
    const priorities = new Priorities(draw);
    return { ...executor, choose: (count, idAt) => priorities.choose(count, idAt) };
  }
}
