/**
 * What becomes of a value that crosses to another thread: packed and unpacked by the codec between threads
 * (columns.ts), then compared with what it was. For development: it looks at everything, and keeps nothing.
 */

import { codecLimits } from "../base/limits.ts";
import { ColumnReader } from "./column_reader.ts";
import { ColumnWriter } from "./columns.ts";

export interface CrossingFault {
  /** Keys from the value to what is wrong, with dots; "" is the value itself. */
  readonly path: string;
  /** In words: what is there, and what would arrive. */
  readonly why: string;
}

export type Crossed = { readonly arrived: unknown } | { readonly fault: CrossingFault };

// Both only cache: what a call returns does not depend on the calls before it.
let writer = new ColumnWriter();
const reader = new ColumnReader();

/** What would arrive on another thread, or why that would not be the same. */
export function cross(value: unknown): Crossed {
  const walk = new Walk();
  let fault = walk.sendable(value);
  if (fault !== undefined) return { fault };
  let arrived: unknown;
  try {
    arrived = roundTrip(value);
  } catch (error) {
    // What it remembers of the batch is spoilt.
    writer = new ColumnWriter();
    return { fault: { path: "", why: error instanceof Error ? error.message : String(error) } };
  }
  fault = walk.difference(value, arrived);
  return fault === undefined ? { arrived } : { fault };
}

function roundTrip(value: unknown): unknown {
  writer.begin();
  writer.value(value);
  reader.begin(writer.end());
  const arrived = reader.value();
  reader.end();
  return arrived;
}

type Keyed = Readonly<Record<PropertyKey, unknown>>;

class Walk {
  readonly #path: string[] = [];
  readonly #around = new Set<object>();

  /** What no codec could send, or would silently leave out. */
  sendable(value: unknown): CrossingFault | undefined {
    if (typeof value === "function" || typeof value === "symbol")
      return this.#fault(`a ${typeof value} can't be sent`);
    if (typeof value !== "object" || value === null) return undefined;
    if (this.#around.has(value)) return this.#fault("it contains itself");
    if (this.#path.length > codecLimits.depthMax)
      return this.#fault(`nested deeper than ${codecLimits.depthMax}`);
    this.#around.add(value);
    const fault = this.#ownProperties(value) ?? this.#elements(value);
    this.#around.delete(value);
    return fault;
  }

  #ownProperties(value: object): CrossingFault | undefined {
    if (ArrayBuffer.isView(value)) return undefined;
    for (const key of Reflect.ownKeys(value)) {
      const property = Reflect.getOwnPropertyDescriptor(value, key);
      if (property === undefined || isBuiltIn(value, key)) continue;
      const fault = this.#within(String(key), () => {
        if (typeof key === "symbol") return this.#fault("a property named by a symbol is left out");
        if (property.get !== undefined || property.set !== undefined)
          return this.#fault("a getter arrives as what it gave once");
        if (!property.enumerable) return this.#fault("a property that is not enumerable is left out");
        return this.sendable(property.value);
      });
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #elements(value: object): CrossingFault | undefined {
    if (!(value instanceof Map) && !(value instanceof Set)) return undefined;
    for (const [key, element] of value.entries() as IterableIterator<[unknown, unknown]>) {
      const inner = value instanceof Map ? [key, element] : [element];
      for (const each of inner) {
        const fault = this.#within(shown(key), () => this.sendable(each));
        if (fault !== undefined) return fault;
      }
    }
    return undefined;
  }

  /** Between a value and what arrived of it. */
  difference(before: unknown, after: unknown): CrossingFault | undefined {
    if (typeof before !== "object" || before === null || typeof after !== "object" || after === null) {
      if (Object.is(before, after)) return undefined;
      return this.#fault(`${shown(before)} arrives as ${shown(after)}`);
    }
    if (before instanceof Error && standardErrors.includes(before.constructor))
      return this.#error(before, after as Keyed);
    const [was, is] = [classOf(before), classOf(after)];
    if (was !== is) return this.#fault(`${article(was)} arrives as ${article(is)}`);
    if (before instanceof Map) return this.#pairs([...before], [...(after as Map<unknown, unknown>)]);
    if (before instanceof Set) {
      const values = [...(after as Set<unknown>)];
      return this.#each([...before].map((each, at) => [String(at), each, values[at]]));
    }
    const [text, arrived] = [textOf(before), textOf(after)];
    if (text !== arrived) return this.#fault(`${text} arrives as ${arrived}`);
    return this.#keyed(before as Keyed, after as Keyed);
  }

  #error(before: Error, after: Keyed): CrossingFault | undefined {
    const names = new Set(["name", "message", "cause", ...Object.keys(before)]);
    return this.#each([...names].map((name) => [name, (before as unknown as Keyed)[name], after[name]]));
  }

  #keyed(before: Keyed, after: Keyed): CrossingFault | undefined {
    if (ArrayBuffer.isView(before)) return undefined;
    if (Array.isArray(before)) {
      const hole = before.findIndex((_, at) => !(at in before));
      if (hole >= 0) return this.#within(String(hole), () => this.#fault("a hole arrives as undefined"));
    }
    const names = Object.keys(before);
    const lost = names.find((name) => name in before && !(name in after));
    if (lost !== undefined) return this.#within(lost, () => this.#fault("it is left out"));
    return this.#each(names.map((name) => [name, before[name], after[name]]));
  }

  #pairs(before: [unknown, unknown][], after: [unknown, unknown][]): CrossingFault | undefined {
    const keys = this.#each(before.map(([key], at) => [shown(key), key, after[at]?.[0]]));
    return keys ?? this.#each(before.map(([key, value], at) => [shown(key), value, after[at]?.[1]]));
  }

  #each(all: [name: string, before: unknown, after: unknown][]): CrossingFault | undefined {
    for (const [name, before, after] of all) {
      const fault = this.#within(name, () => this.difference(before, after));
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #within<T>(name: string, look: () => T): T {
    this.#path.push(name);
    const found = look();
    this.#path.pop();
    return found;
  }

  #fault(why: string): CrossingFault {
    return { path: this.#path.join("."), why };
  }
}

/** What every value of its class has. */
function isBuiltIn(value: object, key: PropertyKey): boolean {
  if (Array.isArray(value)) return key === "length";
  if (value instanceof RegExp) return key === "lastIndex";
  return (
    value instanceof Error && (key === "stack" || key === "message" || key === "cause" || key === "name")
  );
}

/** An object without a prototype is plain data, too. */
function classOf(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) return "Object";
  return (prototype as { readonly constructor?: { readonly name?: string } }).constructor?.name ?? "Object";
}

/** These arrive with their name, as Error; of any other class more is lost. */
const standardErrors: readonly unknown[] = [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
];

/** What a value is, where its keys don't say it. */
function textOf(value: object): string {
  if (value instanceof Date) return `a date of ${value.getTime()}`;
  if (value instanceof RegExp) return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  const bytes =
    value instanceof ArrayBuffer
      ? new Uint8Array(value)
      : ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : undefined;
  return bytes === undefined ? "" : `bytes ${Buffer.from(bytes).toString("base64")}`;
}

function shown(value: unknown): string {
  if (typeof value === "string") return value.length > 40 ? `${value.slice(0, 40)}...` : value;
  if (typeof value === "object" && value !== null) return article(classOf(value));
  return Object.is(value, -0) ? "-0" : String(value);
}

function article(name: string): string {
  return name === "Object" ? "a plain object" : `${/^([AEIO]|U(?!int))/.test(name) ? "an" : "a"} ${name}`;
}

/**
 * From now on nobody can change it, as far as JavaScript lets that be: not the contents of a Map, Set, Date or view.
 */
export function freezeDeep(value: unknown): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  const isPlain = Array.isArray(value) || classOf(value) === "Object";
  if (isPlain) {
    Object.freeze(value);
    for (const each of Object.values(value)) freezeDeep(each);
  } else if (value instanceof Map) {
    for (const pair of value) for (const each of pair) freezeDeep(each);
  } else if (value instanceof Set) {
    for (const each of value) freezeDeep(each);
  }
}
