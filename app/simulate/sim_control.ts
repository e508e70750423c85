/**
 * The memory control store with pause points: a scenario parks an owner at each of its steps. `control get`,
 * `control list` and `control compareAndSet` are passed before the effect, `control wrote` after a write that took
 * place, each with the record's key and, where there is one, its value.
 */

import type { ControlRecord } from "../../actors/control_store.ts";
import { MemoryControl } from "../../actors/stores/memory_control.ts";
import type { PausePoints } from "../../src/simulation/index.ts";

/** What a parked call is about. */
export interface ControlCall {
  readonly key: string;
  readonly value?: unknown;
}

export class SimControl extends MemoryControl {
  readonly #points: PausePoints;

  constructor(points: PausePoints) {
    super();
    this.#points = points;
  }

  override async get(key: string): Promise<ControlRecord | undefined> {
    await this.#points.pass("control get", { key } satisfies ControlCall);
    return super.get(key);
  }

  override async list(prefix: string): Promise<ControlRecord[]> {
    await this.#points.pass("control list", { key: prefix } satisfies ControlCall);
    return super.list(prefix);
  }

  override async compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined> {
    const call: ControlCall = { key, value };
    await this.#points.pass("control compareAndSet", call);
    const revision = await super.compareAndSet(key, expected, value);
    if (revision !== undefined) await this.#points.pass("control wrote", call);
    return revision;
  }
}
