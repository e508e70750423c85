/** The main job's faults: which comes when, as shares of the traffic's time, and how often each fired. */

import { shardProcess } from "../../actors/shard_options.ts";
import type { System } from "../../src/index.ts";
import type { FaultReport } from "../messages.ts";
import { calm, type FaultMode, fault_link } from "./fault_link.ts";
import { thread_killer } from "./thread_killer.ts";

interface Spell {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly mode: FaultMode;
}

/** While everything is copied: slow first, then unreliable, then gone. And slow again while prefixes move. */
const spells: readonly Spell[] = [
  { name: "slow", from: 0.08, to: 0.16, mode: { ...calm, delayMs: 60 } },
  { name: "errors", from: 0.18, to: 0.28, mode: { ...calm, failShare: 0.1 } },
  { name: "down", from: 0.3, to: 0.36, mode: { ...calm, down: true } },
  { name: "slow", from: 0.62, to: 0.72, mode: { ...calm, delayMs: 150 } },
];

/** A store thread dies after the copy and before the moves. */
const killAt = 0.4;

/** From here on prefixes move. */
export const movesFrom = 0.48;

export function linkProcess(shard: number): string {
  return `A/${shard}/link`;
}

export class Faults {
  readonly #system: System;
  readonly #shards: number;
  readonly #timers: NodeJS.Timeout[] = [];
  #kills = 0;
  #mode: FaultMode = calm;
  #watch: NodeJS.Timeout | undefined;
  /** Counters of links that have died, so that none is forgotten. */
  readonly #fired = new Map<number, Record<string, number>>();
  readonly #lost: Record<string, number> = {};

  constructor(system: System, shards: number) {
    this.#system = system;
    this.#shards = shards;
  }

  start(seconds: number): void {
    const at = (share: number, act: () => void): void => {
      this.#timers.push(setTimeout(act, share * seconds * 1_000));
    };
    for (const { from, to, mode } of spells) {
      at(from, () => this.#set(mode));
      at(to, () => this.#set(calm));
    }
    at(killAt, () => void this.#kill());
    // A link that restarts begins calm: it is told again, and its counters are added up.
    this.#watch = setInterval(() => void this.#tell(), tellMs);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    clearInterval(this.#watch);
  }

  async report(): Promise<FaultReport[]> {
    await this.#tell();
    const total: Record<string, number> = { slow: 0, errors: 0, down: 0, poison: 0, ...this.#lost };
    for (const fired of this.#fired.values()) {
      for (const [name, count] of Object.entries(fired)) total[name] = (total[name] ?? 0) + count;
    }
    return [...Object.entries({ ...total, thread_killed: this.#kills })].map(([name, fired]) => ({
      name,
      fired,
    }));
  }

  #set(mode: FaultMode): void {
    this.#mode = mode;
    void this.#tell();
  }

  async #tell(): Promise<void> {
    const links = Array.from({ length: this.#shards }, (_, shard) => this.#link(shard));
    await Promise.all(links);
  }

  async #link(shard: number): Promise<void> {
    const { call } = this.#system.ref(fault_link, linkProcess(shard));
    try {
      await call.mode(this.#mode);
      const fired = await call.fired();
      const before = this.#fired.get(shard);
      // Counters that fell belong to a link that died.
      if (
        before !== undefined &&
        Object.entries(fired).some(([name, count]) => count < (before[name] ?? 0))
      ) {
        for (const [name, count] of Object.entries(before))
          this.#lost[name] = (this.#lost[name] ?? 0) + count;
      }
      this.#fired.set(shard, fired);
    } catch {
      // The link restarts with its thread; the next round reaches it.
    }
  }

  async #kill(): Promise<void> {
    const store = this.#system.whereis(shardProcess("A", 0, "db_store"));
    if (store === undefined || store.thread === 0) return;
    const killer = await this.#system.spawn(thread_killer, undefined, { thread: store.thread });
    this.#system.ref(thread_killer, killer).cast.die();
    this.#kills++;
  }
}

const tellMs = 200;
