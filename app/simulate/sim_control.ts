/**
 * The memory control store with pause points: a scenario parks an owner at each of its steps. `control get`,
 * `control list` and `control compareAndSet` are passed before the effect, `control wrote` after a write that took
 * place, each with the record's key and, where there is one, its value. In a cluster each node has its own way to it,
 * which takes time, fails and is cut.
 */

import type { ControlRecord, ControlStore } from "../../actors/control_store.ts";
import { MemoryControl } from "../../actors/stores/memory_control.ts";
import { NanoError } from "../../src/index.ts";
import type { PausePoints, SimulatedThread } from "../../src/simulation/index.ts";

/** What a parked call is about. */
export interface ControlCall {
  readonly key: string;
  readonly value?: unknown;
}

export class SimControl extends MemoryControl {
  readonly #points: PausePoints;

  /** Rises with each write: for oracles. */
  changes = 0;
  /** Hears of each write. */
  onWrite: ((key: string, value: unknown) => void) | undefined;

  constructor(points: PausePoints) {
    super();
    this.#points = points;
  }

  override async get(key: string): Promise<ControlRecord | undefined> {
    await this.#points.pass("control get", { key } satisfies ControlCall);
    return this.getNow(key);
  }

  override async list(prefix: string): Promise<ControlRecord[]> {
    await this.#points.pass("control list", { key: prefix } satisfies ControlCall);
    return this.listNow(prefix);
  }

  override async compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined> {
    const call: ControlCall = { key, value };
    await this.#points.pass("control compareAndSet", call);
    const revision = await super.compareAndSet(key, expected, value);
    if (revision === undefined) return undefined;
    this.changes++;
    this.onWrite?.(key, value);
    await this.#points.pass("control wrote", call);
    return revision;
  }
}

/** How a node's way to the control store is now. */
export interface ControlWay {
  /** Of one direction, ms. */
  delayMs: readonly [number, number];
  /** Share of the calls that fail, half of them after their effect. */
  failShare: number;
  cut: boolean;
  /** Of both, only what changes something hears. */
  writesOnly: boolean;
  /** Hears of each call that failed. */
  onFault?: () => void;
}

/** How long a node waits before it takes the store for unreachable, ms. */
const controlTimeoutMs = 200;

/** The store as one thread of a node reaches it. */
export function controlOver(way: ControlWay, control: ControlStore, thread: SimulatedThread): ControlStore {
  const half = (): Promise<void> => thread.sleep(thread.delayMs("sim_control", way.delayMs), "control");
  const unreachable = async (): Promise<never> => {
    way.onFault?.();
    await thread.sleep(controlTimeoutMs, "control times out");
    throw new NanoError("unavailable", "the control store does not answer");
  };
  const over = async <T>(call: () => Promise<T>): Promise<T> => {
    await half();
    const chance = way.failShare > 0 ? thread.random.next("sim_control.fail") : 1;
    if (way.cut || chance < way.failShare / 2) return unreachable();
    const result = await call();
    await half();
    if (way.cut || chance < way.failShare) return unreachable();
    return result;
  };
  /** What changes nothing may be lost on either way: it makes no difference. */
  const readOver = async <T>(call: () => Promise<T>): Promise<T> => {
    await half();
    if (way.writesOnly) return call();
    if (way.cut || (way.failShare > 0 && thread.random.next("sim_control.fail") < way.failShare))
      return unreachable();
    return call();
  };
  return {
    get: (key) => readOver(() => control.get(key)),
    list: (prefix) => readOver(() => control.list(prefix)),
    compareAndSet: (key, expected, value) => over(() => control.compareAndSet(key, expected, value)),
    nextTerm: () => over(() => control.nextTerm()),
    close: () => control.close(),
  };
}
