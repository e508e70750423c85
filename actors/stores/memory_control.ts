/** The control store in memory: for tests and the simulator. Share one object between everything that uses it. */

import type { ControlRecord, ControlStore } from "../control_store.ts";
import { compareKeys } from "../records.ts";

export class MemoryControl implements ControlStore {
  readonly #records = new Map<string, ControlRecord>();
  #term = 0;

  async get(key: string): Promise<ControlRecord | undefined> {
    return structuredClone(this.getNow(key));
  }

  async list(prefix: string): Promise<ControlRecord[]> {
    return structuredClone(this.listNow(prefix));
  }

  /** The same at this instant, frozen instead of copied: for oracles, and for the simulator. */
  listNow(prefix: string): ControlRecord[] {
    const found = [...this.#records.values()].filter(({ key }) => key.startsWith(prefix));
    return found.sort((a, b) => compareKeys(a.key, b.key));
  }

  getNow(key: string): ControlRecord | undefined {
    return this.#records.get(key);
  }

  async compareAndSet(key: string, expected: number, value: unknown): Promise<number | undefined> {
    const revision = this.#records.get(key)?.revision ?? 0;
    if (revision !== expected) return undefined;
    this.#records.set(key, { key, value: frozenCopy(value), revision: revision + 1 });
    return revision + 1;
  }

  async nextTerm(): Promise<number> {
    return ++this.#term;
  }

  async close(): Promise<void> {}
}

/** Of a record's value: plain data, as every control store keeps it. */
function frozenCopy(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy));
  const copy: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) copy[key] = frozenCopy(part);
  return Object.freeze(copy);
}
