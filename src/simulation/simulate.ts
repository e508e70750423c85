/**
 * A simulated world: production systems on deterministic seams, run in virtual time from one seed.
 *
 * A scenario is an ordinary async function. While it awaits something of the world (a call's answer, `world.sleep`),
 * the world runs; it must not await anything else, for that takes real time, and the world runs on meanwhile.
 */

import { assert } from "../base/assert.ts";
import { SeededStreams } from "../base/seeded_streams.ts";
import { type LogRecord, RecordingLog } from "./log.ts";
import { SimulatedNetwork } from "./network.ts";
import { type NodeOptions, SimulatedNode } from "./node.ts";
import { type Order, Timeline, type Watch } from "./timeline.ts";
import { WorldGuard } from "./world_guard.ts";

export interface SimulationOptions {
  /** An integer. Everything that chance decides follows from it. */
  readonly seed: number;
  /**
   * `fifo`: events of one instant happen in the order in which they were scheduled, and processes take their turns as
   * in production. `random`: chance picks the next event of an instant and the next process, for one message each.
   * `pct`: as `random`, but processes have random priorities (priorities.ts): it finds what needs one of them to stand
   * still while others do much.
   */
  readonly order?: Order;
  /** The world's wall clock at the beginning, ms since 1970. Default: the first of January 2020. */
  readonly startMs?: number;
  /** How many of the last events the trace tells, in errors and `world.timeline.trace`. Default: 60. */
  readonly traceLinesMax?: number;
  /**
   * False: actors and scenario may use real clocks, timers and chance, and the seed does not tell all any more.
   * Default: true, what does so fails the simulation with `RealWorldError`.
   */
  readonly guard?: boolean;
}

export interface SimulationReport<T> {
  readonly result: T;
  /** Equal for equal seeds and code. */
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
}

const startOf2020 = 1_577_836_800_000;

/**
 * Runs `scenario` in a world of its own, to its end. Rejects with what the scenario throws, or with `SimulationError`
 * when it waits for something that can't come.
 */
export async function simulateSeed<T>(
  options: SimulationOptions,
  scenario: (world: World) => Promise<T>,
): Promise<SimulationReport<T>> {
  const { world, outcome } = await playSeed(options, scenario);
  if (!outcome.ok) throw outcome.error;
  const { trace, events, nowMs } = world.timeline;
  return { result: outcome.value, hash: trace.hash(), events, virtualMs: nowMs };
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/** How a play ended, and the world as it left it. */
export interface Played<T> {
  readonly seed: number;
  readonly world: World;
  readonly outcome: Outcome<T>;
}

/** As `simulateSeed`, but never rejects. */
export async function playSeed<T>(
  options: SimulationOptions,
  scenario: (world: World) => Promise<T>,
): Promise<Played<T>> {
  const world = new World(options);
  let ended: Outcome<T> | undefined;
  const begin = (): void => {
    scenario(world).then(
      (value) => {
        ended = { ok: true, value };
      },
      (error: unknown) => {
        ended = { ok: false, error };
      },
    );
  };
  let failed: Outcome<T> | undefined;
  world.timeline.guard?.begin();
  try {
    await world.timeline.run(begin, () => ended !== undefined);
  } catch (error) {
    failed = { ok: false, error };
  } finally {
    world.timeline.guard?.end();
  }
  world.end();
  const outcome = failed ?? ended;
  assert(outcome !== undefined, "the loop ends with its scenario");
  return { seed: options.seed, world, outcome };
}

export class World {
  readonly timeline: Timeline;
  /** Between the nodes of a cluster: those that were started with `nodeOf`. */
  readonly network: SimulatedNetwork;
  readonly #chance: SeededStreams;
  readonly #log: RecordingLog;
  readonly #startMs: number;
  readonly #nodes: SimulatedNode[] = [];

  constructor({
    seed,
    order = "fifo",
    startMs = startOf2020,
    guard = true,
    traceLinesMax,
  }: SimulationOptions) {
    this.#chance = new SeededStreams(seed);
    this.timeline = new Timeline(this.#chance, order, guard ? new WorldGuard() : undefined, traceLinesMax);
    this.network = new SimulatedNetwork(this.timeline);
    this.#log = new RecordingLog(() => this.timeline.nowMs);
    this.#startMs = startMs;
  }

  /** Virtual ms since the beginning. */
  get nowMs(): number {
    return this.timeline.nowMs;
  }

  /** The world's wall clock, ms since 1970; a node's own is ahead of it by its `skewMs`. */
  get wallMs(): number {
    return this.#startMs + this.timeline.nowMs;
  }

  /** What the actors logged, the newest records. */
  get logged(): readonly LogRecord[] {
    return this.#log.records;
  }

  /** Hears of what the actors log. */
  set onLog(hear: (record: LogRecord) => void) {
    this.#log.onRecord = hear;
  }

  /** A float in [0, 1) from the scenario's own stream of this name. */
  chance(site: string): number {
    return this.#chance.next(`world ${site}`);
  }

  /** Starts a node: a system with its threads. */
  async node(name: string, options: NodeOptions = {}): Promise<SimulatedNode> {
    const around = {
      timeline: this.timeline,
      chance: this.#chance,
      log: this.#log,
      startMs: this.#startMs,
      network: this.network,
    };
    const node = await SimulatedNode.start(name, options, around);
    this.#nodes.push(node);
    return node;
  }

  /** Runs the world for this long. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.timeline.schedule(ms, "scenario", resolve));
  }

  /** Runs the world until this virtual time. */
  until(atMs: number): Promise<void> {
    return this.sleep(Math.max(0, atMs - this.nowMs));
  }

  /** Runs the world until nothing is left to happen. A system with periodic timers never gets there. */
  idle(): Promise<void> {
    return this.timeline.whenIdle();
  }

  /**
   * Runs the world until `holds`, which is asked after each event; `what` says in words what is waited for.
   * Rejects with `SimulationError` after `withinMs`.
   */
  eventually(what: string, holds: () => boolean, withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = this.timeline.schedule(withinMs, "scenario gives up", () => {
        unwatch();
        reject(this.timeline.error(`after ${withinMs} ms still not: ${what}`));
      });
      const unwatch = this.timeline.watch(() => {
        if (!holds()) return false;
        unwatch();
        this.timeline.cancel(late);
        resolve();
        return true;
      });
    });
  }

  /**
   * `check` runs after each event, when all that followed from it has run; false: it only looked. Returns how to end
   * that.
   */
  afterEachEvent(check: Watch): () => void {
    return this.timeline.watch(check);
  }

  /** For `simulateSeed`. */
  end(): void {
    for (const node of this.#nodes) node.crash();
  }
}
