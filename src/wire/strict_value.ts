/**
 * What may be sent to another process: the sender's half of validate.ts. A value that the receiver would
 * refuse is found here, with its path, instead of there, as a broken connection.
 */

import { NanoError } from "../base/errors.ts";

export interface StrictLimits {
  readonly bytesMax: number;
  /** Arrays and maps around a value. */
  readonly depthMax: number;
  /** Values in a message, map keys included. */
  readonly countMax: number;
  /** Of one string. */
  readonly stringBytesMax: number;
}

/** Keys that reach a prototype in careless code. */
export const refusedKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

const loneSurrogate = /\p{Surrogate}/u;

/** Throws `bad_argument` with `details.path` unless `decodeStrict` would take `value` back as it is. */
export function assertStrict(value: unknown, limits: StrictLimits): void {
  new StrictWalk(limits).visit(value, 0);
}

class StrictWalk {
  readonly #limits: StrictLimits;
  readonly #path: (string | number)[] = [];
  #count = 0;

  constructor(limits: StrictLimits) {
    this.#limits = limits;
  }

  visit(value: unknown, depth: number): void {
    if (++this.#count > this.#limits.countMax) this.#refuse(`more than ${this.#limits.countMax} values`);
    if (value === null || typeof value === "boolean" || value instanceof Uint8Array) return;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#refuse("not a finite number");
    } else if (typeof value === "string") {
      this.#string(value);
    } else if (typeof value === "object") {
      if (depth >= this.#limits.depthMax) this.#refuse(`nested deeper than ${this.#limits.depthMax}`);
      if (Array.isArray(value)) this.#array(value, depth + 1);
      else this.#record(value, depth + 1);
    } else {
      this.#refuse(`a value of type ${typeof value}`);
    }
  }

  #array(array: readonly unknown[], depth: number): void {
    for (let index = 0; index < array.length; index++) {
      this.#path.push(index);
      this.visit(array[index], depth);
      this.#path.pop();
    }
  }

  #record(value: object, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) this.#refuse("not a plain object");
    for (const key of Object.keys(value)) {
      const field: unknown = (value as Record<string, unknown>)[key];
      if (field === undefined) continue;
      this.#path.push(key);
      if (refusedKeys.has(key)) this.#refuse("a key that is not allowed");
      this.#count++;
      this.#string(key);
      this.visit(field, depth);
      this.#path.pop();
    }
  }

  #string(text: string): void {
    // At most three bytes for each unit: only long strings are measured.
    const { stringBytesMax } = this.#limits;
    if (text.length * 3 > stringBytesMax && Buffer.byteLength(text) > stringBytesMax) {
      this.#refuse(`a string over ${stringBytesMax} bytes`);
    }
    if (loneSurrogate.test(text)) this.#refuse("a string with half a surrogate pair");
  }

  #refuse(why: string): never {
    const path = this.#path.join(".");
    throw new NanoError("bad_argument", `${path === "" ? "the message" : path}: ${why}`, { path });
  }
}
