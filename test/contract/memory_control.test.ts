/** The control store in memory keeps its contract; broken ones are found. */

import { describe, expect, it } from "vitest";
import type { ControlRecord, ControlStore } from "../../actors/control_store.ts";
import { MemoryControl } from "../../actors/stores/memory_control.ts";
import { type ControlPlace, controlChecks } from "./control_checks.ts";
import { controlContract } from "./control_contract.ts";

function memoryPlace(make: () => ControlStore = () => new MemoryControl()): ControlPlace {
  const control = make();
  return { open: () => control };
}

controlContract("memory", { newPlace: () => memoryPlace(), clear: async () => undefined });

class Unconditional extends MemoryControl {
  override async compareAndSet(key: string, _expected: number, value: unknown): Promise<number | undefined> {
    return super.compareAndSet(key, (await this.get(key))?.revision ?? 0, value);
  }
}

/** Compares in one step and sets in another. */
class NotAtomic extends MemoryControl {
  override async compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined> {
    const revision = (await this.get(key))?.revision ?? 0;
    if (revision !== expected) return undefined;
    for (;;) {
      const set = await super.compareAndSet(key, (await this.get(key))?.revision ?? 0, value);
      if (set !== undefined) return set;
    }
  }
}

class RepeatsTerms extends MemoryControl {
  #drawn = 0;

  override async nextTerm(): Promise<number> {
    const term = this.#drawn + 1;
    await Promise.resolve();
    this.#drawn = term;
    return term;
  }
}

class SortsByUnits extends MemoryControl {
  override async list(prefix: string): Promise<ControlRecord[]> {
    return (await super.list(prefix)).sort((x, y) => (x.key < y.key ? -1 : 1));
  }
}

class ListsAll extends MemoryControl {
  override list(): Promise<ControlRecord[]> {
    return super.list("");
  }
}

class LendsItsRecords extends MemoryControl {
  readonly #lent = new Map<string, ControlRecord>();

  override async get(key: string): Promise<ControlRecord | undefined> {
    const [record, lent] = [await super.get(key), this.#lent.get(key)];
    if (record === undefined || lent?.revision === record.revision) return lent;
    this.#lent.set(key, record);
    return record;
  }
}

async function brokenChecks(make?: () => ControlStore): Promise<string[]> {
  const broken: string[] = [];
  for (const [sentence, check] of Object.entries(controlChecks)) {
    await check(memoryPlace(make)).catch(() => broken.push(sentence));
  }
  return broken;
}

describe("the control store's checks", () => {
  it("all hold for the store in memory", async () => {
    expect(await brokenChecks()).toEqual([]);
  });

  it.each([Unconditional, NotAtomic, RepeatsTerms, SortsByUnits, ListsAll, LendsItsRecords])(
    "find a store that is %o",
    async (Twin) => {
      expect(await brokenChecks(() => new Twin())).not.toEqual([]);
    },
  );
});
