/**
 * When the reader of a dry ring looks again and when it sleeps (src/platform/patience.ts): two machines in virtual
 * time, one with a core for each thread, one where whoever looks keeps the writer from running.
 */

import { describe, expect, test } from "vitest";
import { spinLimits } from "../../src/base/limits.ts";
import { Patience } from "../../src/platform/patience.ts";

/** How long nothing comes, in ms, when the reader looks and when it sleeps. */
interface Machine {
  readonly looked: number;
  readonly slept: number;
}

const turnMs = 0.002;

class Reader {
  readonly patience = new Patience();
  #nowMs = 0;
  looks = 0;
  lookedInVain = 0;
  peerLooks = false;

  /** So many dry times: the share of them in which it looked. */
  dryTimes(count: number, machine: (index: number) => Machine): number {
    const before = this.looks;
    for (let index = 0; index < count; index++) this.#dryTime(machine(index));
    return (this.looks - before) / count;
  }

  #dryTime({ looked, slept }: Machine): void {
    const since = this.#nowMs;
    if (!this.patience.dry(this.#nowMs, this.peerLooks)) {
      this.#nowMs = since + slept;
    } else {
      this.looks++;
      while (this.#nowMs < since + looked) {
        this.#nowMs += turnMs;
        if (!this.patience.dry(this.#nowMs, this.peerLooks)) break;
      }
      if (this.#nowMs < since + looked) this.lookedInVain++;
      this.#nowMs = Math.max(this.#nowMs, since + looked);
    }
    this.patience.came(this.#nowMs);
  }
}

const ownCores: Machine = { looked: 0.006, slept: 0.03 };
/** Looked for all of its time, then slept: the writer had no core until then. */
const oneCore: Machine = { looked: spinLimits.lookMs + 0.03, slept: 0.03 };
const always = (machine: Machine) => () => machine;

describe("a reader whose ring runs dry", () => {
  test("looks where that is faster", () => {
    const reader = new Reader();
    reader.dryTimes(1_000, always(ownCores));
    expect(reader.dryTimes(20_000, always(ownCores))).toBeGreaterThan(0.98);
  });

  test("sleeps where whoever looks keeps the writer from its core, but for a few trials", () => {
    const reader = new Reader();
    reader.dryTimes(1_000, always(oneCore));
    expect(reader.dryTimes(100_000, always(oneCore))).toBeLessThan(0.01);
    expect(reader.looks).toBeGreaterThan(0);
  });

  test("notices within a thousand dry times that others took the core, and that they are gone", () => {
    const reader = new Reader();
    reader.dryTimes(2_000, always(ownCores));
    reader.dryTimes(1_000, always(oneCore));
    expect(reader.dryTimes(1_000, always(oneCore))).toBeLessThan(0.2);
    reader.dryTimes(20_000, always(ownCores));
    expect(reader.dryTimes(1_000, always(ownCores))).toBeGreaterThan(0.8);
  });

  test("never looks where messages come a millisecond apart: an idle system does nothing", () => {
    const reader = new Reader();
    expect(reader.dryTimes(10_000, always({ looked: 1, slept: 1 }))).toBe(0);
  });

  test("stops looking when messages begin to come far apart", () => {
    const reader = new Reader();
    reader.dryTimes(2_000, always(ownCores));
    reader.dryTimes(200, always({ looked: 1, slept: 1 }));
    expect(reader.dryTimes(10_000, always({ looked: 1, slept: 1 }))).toBe(0);
  });

  test("is not misled by one wait of milliseconds among twenty", () => {
    const reader = new Reader();
    const rare = (index: number): Machine => (index % 20 === 7 ? { looked: 7, slept: 0.03 } : ownCores);
    reader.dryTimes(2_000, rare);
    expect(reader.dryTimes(20_000, rare)).toBeGreaterThan(0.9);
  });

  test("looks as long as the other end wants to", () => {
    const reader = new Reader();
    reader.peerLooks = true;
    expect(reader.dryTimes(100, always(ownCores))).toBe(1);
    expect(new Reader().dryTimes(100, always(ownCores))).toBe(0);
  });

  test("gives up after its time, whatever it wants", () => {
    const patience = new Patience();
    expect(patience.dry(0, true)).toBe(true);
    expect(patience.dry(spinLimits.lookMs * 0.9, true)).toBe(true);
    expect(patience.dry(spinLimits.lookMs, true)).toBe(false);
  });
});
