/**
 * What clients know of their writes, key by key: the last acknowledged value, and values whose writes had no answer. A
 * key is lost if its authority shows neither.
 */

import { NanoError } from "../../src/index.ts";

interface Known {
  /** What the last acknowledged write left; undefined: nothing was acknowledged. */
  acknowledged: string | null | undefined;
  /** Values whose writes had no answer: any of them may stand, then or later. */
  readonly unknown: Set<string | null>;
}

/** Errors after which a write may or may not have been done. */
const unknownCodes: ReadonlySet<string> = new Set(["timeout", "crashed", "noproc", "canceled"]);

/** Rethrows what is no operating error. */
export function isUnknown(error: unknown): boolean {
  if (!(error instanceof NanoError)) throw error;
  return unknownCodes.has(error.code);
}

export class Acknowledged {
  readonly #keys = new Map<string, Known>();

  /** Writes `value` (null: deletes). True if it was acknowledged. */
  async write(key: string, value: string | null, write: () => Promise<unknown>): Promise<boolean> {
    const known = this.#known(key);
    known.unknown.add(value);
    try {
      await write();
    } catch (error) {
      if (!isUnknown(error)) known.unknown.delete(value);
      return false;
    }
    known.unknown.delete(value);
    known.acknowledged = value;
    return true;
  }

  /** `shown` says what stands for a key where it is served. */
  lost(shown: (key: string) => string | null): string[] {
    return [...this.#keys].filter(([key, known]) => isLost(known, () => shown(key))).map(([key]) => key);
  }

  #known(key: string): Known {
    let known = this.#keys.get(key);
    if (known === undefined) {
      known = { acknowledged: undefined, unknown: new Set() };
      this.#keys.set(key, known);
    }
    return known;
  }
}

function isLost({ acknowledged, unknown }: Known, shown: () => string | null): boolean {
  if (acknowledged === undefined) return false;
  const value = shown();
  return value !== acknowledged && !unknown.has(value);
}
