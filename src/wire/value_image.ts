/**
 * Images of values: what a process's state, its messages and its answers look like in a crash capsule. An image is
 * made of what the strict decoder takes (validate.ts): plain data is itself as far as it can be, everything else is an
 * array that begins with a code. Unlike the codec between threads it keeps everything apart that a handler could tell
 * apart: -0, holes, NanoErrors, what occurs twice in one value, cycles.
 *
 * An image shares nothing with its value but strings. What has no image: functions, symbols, promises, weak
 * collections, instances of classes; `foreign` may name some of them.
 */

import { NanoError } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import { typedArrays } from "./extensions.ts";

export type Image = null | boolean | number | string | Uint8Array | readonly Image[];

/** What an image is, the first element of its array. */
const codes = {
  /** Its elements; a hole is an array of its code alone. */
  array: 0,
  /** Keys and values in turn. */
  object: 1,
  undefined: 2,
  /** A number that msgpack can't hold, as text. */
  number: 3,
  bigint: 4,
  date: 5,
  map: 6,
  set: 7,
  /** A view of bytes: its class, its bytes. */
  view: 8,
  regexp: 9,
  error: 10,
  nanoError: 11,
  /** A string with half a surrogate pair: its code units. */
  units: 12,
  /** Something that stood earlier in this value: which object of it, from 0. */
  again: 13,
  /** What only a live process has: named by whoever made the image. */
  foreign: 14,
  hole: 15,
  nullObject: 16,
} as const;

/** By name; a Uint8Array itself needs none. */
const viewClasses = new Map(
  [Buffer, ...typedArrays.filter((each) => each !== Uint8Array), DataView, ArrayBuffer].map((each) => [
    each.name,
    each,
  ]),
);

const loneSurrogate = /\p{Surrogate}/u;

export interface ImageOptions {
  /** The image's size, roughly, above which it is given up. */
  readonly bytesMax: number;
  /** Stands in for each value that has a key, as the replacer of JSON.stringify does. */
  readonly redact: ((key: string, value: unknown) => unknown) | undefined;
  /** The name of a live thing; undefined for any other object. */
  readonly foreign: (value: object) => readonly Image[] | undefined;
}

/** Bytes are counted as they would be packed, or a little above that. */
export interface SizedImage {
  readonly image: Image;
  readonly bytes: number;
}

/** `key` is what `redact` gets for the value itself. Errors: `bad_argument` with `details.path`. */
export function imageOf(value: unknown, key: string, options: ImageOptions): SizedImage {
  const maker = new ImageMaker(options);
  const image = maker.of(key, value);
  return { image, bytes: maker.bytes };
}

class ImageMaker {
  readonly #options: ImageOptions;
  readonly #seen = new Map<object, number>();
  readonly #path: string[] = [];
  bytes = 0;

  constructor(options: ImageOptions) {
    this.#options = options;
  }

  of(key: string, original: unknown): Image {
    const { redact } = this.#options;
    const value = redact === undefined ? original : redact(key, original);
    this.#count(1);
    switch (typeof value) {
      case "boolean":
        return value;
      case "undefined":
        return [codes.undefined];
      case "number":
        this.#count(8);
        if (Number.isFinite(value) && !Object.is(value, -0)) return value;
        return [codes.number, Object.is(value, -0) ? "-0" : String(value)];
      case "string":
        return this.#string(value);
      case "bigint":
        return [codes.bigint, this.#string(String(value))];
      case "object":
        return value === null ? null : this.#object(value);
      case "function":
      case "symbol":
        return this.#refuse(`a ${typeof value}`);
    }
  }

  #string(text: string): Image {
    this.#count(text.length + 4);
    if (!loneSurrogate.test(text)) return text;
    return [codes.units, ...Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))];
  }

  #object(value: object): Image {
    const name = this.#options.foreign(value);
    if (name !== undefined) return [codes.foreign, ...name];
    const place = this.#seen.get(value);
    if (place !== undefined) return [codes.again, place];
    if (this.#path.length >= capsuleLimits.depthMax)
      return this.#refuse(`nested deeper than ${capsuleLimits.depthMax}`);
    if (value instanceof Error) return this.#error(value);
    this.#seen.set(value, this.#seen.size);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return this.#record(value as Record<string, unknown>, prototype === null);
    if (Array.isArray(value)) return this.#array(value);
    if (value instanceof Map) return this.#map(value);
    if (value instanceof Set)
      return [codes.set, ...Array.from(value, (each) => this.#within("element", each))];
    if (value instanceof Date) return [codes.date, this.of("", value.getTime())];
    if (value instanceof RegExp) return [codes.regexp, this.#string(value.source), value.flags];
    return this.#bytesOf(value);
  }

  #record(value: Record<string, unknown>, hasNoPrototype: boolean): Image {
    const image: Image[] = [hasNoPrototype ? codes.nullObject : codes.object];
    for (const key of Object.keys(value)) image.push(this.#string(key), this.#within(key, value[key]));
    return image;
  }

  #array(value: readonly unknown[]): Image {
    const image: Image[] = [codes.array];
    for (let at = 0; at < value.length; at++)
      image.push(at in value ? this.#within(String(at), value[at]) : [codes.hole]);
    return image;
  }

  #map(value: ReadonlyMap<unknown, unknown>): Image {
    const image: Image[] = [codes.map];
    for (const [key, each] of value) {
      const name = typeof key === "string" || typeof key === "number" ? String(key) : "key";
      image.push(this.#within("key", key), this.#within(name, each));
    }
    return image;
  }

  #error(error: Error): Image {
    if (error instanceof NanoError) {
      const details = this.#within("details", error.details);
      return [codes.nanoError, this.#string(error.code), this.#string(error.message), details];
    }
    const cause = this.#within("cause", error.cause);
    return [codes.error, this.#string(error.name), this.#string(error.message), cause];
  }

  #bytesOf(value: object): Image {
    if (value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype) {
      this.#count(value.length + 4);
      return value.slice();
    }
    const [name] = [...viewClasses].find(([, View]) => Object.getPrototypeOf(value) === View.prototype) ?? [];
    if (name === undefined) return this.#refuse(`an instance of ${value.constructor?.name ?? "a class"}`);
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : bytesUnder(value as ArrayBufferView);
    this.#count(bytes.length + 16);
    return [codes.view, name, new Uint8Array(bytes)];
  }

  #within(key: string, value: unknown): Image {
    this.#path.push(key);
    const image = this.of(key, value);
    this.#path.pop();
    return image;
  }

  #count(bytes: number): void {
    this.bytes += bytes;
    const { bytesMax } = this.#options;
    if (this.bytes > bytesMax) this.#refuse(`more than ${bytesMax} bytes`);
  }

  #refuse(what: string): never {
    const path = this.#path.join(".");
    throw new NanoError("bad_argument", `${path === "" ? "it" : path} is ${what}`, { path });
  }
}

function bytesUnder({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Makes the value of an image; `foreign` makes what was named. Errors: `unreadable`: no image is like that. */
export function valueOfImage(image: Image, foreign: (name: readonly Image[]) => unknown): unknown {
  return new ImageReader(foreign).value(image);
}

class ImageReader {
  readonly #foreign: (name: readonly Image[]) => unknown;
  readonly #seen: unknown[] = [];

  constructor(foreign: (name: readonly Image[]) => unknown) {
    this.#foreign = foreign;
  }

  value(image: Image): unknown {
    if (image instanceof Uint8Array) return this.#made(image.slice());
    if (typeof image !== "object" || image === null) return image;
    const [code, ...rest] = image;
    if (typeof code !== "number") return wrong("a list has no code");
    switch (code) {
      case codes.array:
        return this.#array(rest);
      case codes.object:
        return this.#record(rest, {});
      case codes.nullObject:
        return this.#record(rest, Object.create(null) as Record<string, unknown>);
      case codes.map:
        return this.#map(rest);
      case codes.set: {
        const set = this.#made(new Set<unknown>());
        for (const each of rest) set.add(this.value(each));
        return set;
      }
      case codes.error:
      case codes.nanoError:
        return this.#error(code, rest);
      case codes.again: {
        const place = rest[0];
        if (typeof place !== "number" || !(place in this.#seen))
          return wrong("it repeats what was not there");
        return this.#seen[place];
      }
      case codes.foreign:
        return this.#foreign(rest);
      default:
        return this.#leaf(code, rest);
    }
  }

  #leaf(code: number, rest: readonly Image[]): unknown {
    const [first, second] = rest;
    switch (code) {
      case codes.undefined:
        return undefined;
      case codes.number:
        return Number(text(first));
      case codes.bigint: {
        const digits = text(first);
        return /^-?\d+$/.test(digits) ? BigInt(digits) : wrong("a bigint has other digits");
      }
      case codes.date: {
        const ms = this.value(first ?? null);
        return this.#made(new Date(typeof ms === "number" ? ms : wrong("a date is no number")));
      }
      case codes.regexp:
        return this.#made(expression(text(first), text(second)));
      case codes.view:
        return this.#made(viewOf(text(first), second));
      case codes.units:
        return String.fromCharCode(
          ...rest.map((each) => (typeof each === "number" ? each : wrong("a string"))),
        );
      default:
        return wrong(`code ${String(code)} is unknown`);
    }
  }

  #array(rest: readonly Image[]): unknown[] {
    const array = this.#made([] as unknown[]);
    for (const each of rest) {
      if (Array.isArray(each) && each[0] === codes.hole) array.length++;
      else array.push(this.value(each));
    }
    return array;
  }

  #record(rest: readonly Image[], made: Record<string, unknown>): unknown {
    const record = this.#made(made);
    for (const [key, each] of pairs(rest)) {
      const name = this.value(key);
      if (typeof name !== "string") return wrong("a key is no string");
      const value = this.value(each);
      Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true });
    }
    return record;
  }

  #map(rest: readonly Image[]): unknown {
    const map = this.#made(new Map<unknown, unknown>());
    for (const [key, each] of pairs(rest)) {
      const name = this.value(key);
      map.set(name, this.value(each));
    }
    return map;
  }

  #error(code: number, [first, second, third = null]: readonly Image[]): Error {
    const more = this.value(third);
    if (code === codes.nanoError) {
      if (typeof more !== "object" || more === null) return wrong("an error's details are no object");
      return new NanoError(text(first), text(second), more as Record<string, unknown>);
    }
    const error = new Error(text(second), more === undefined ? {} : { cause: more });
    if (first !== "Error") error.name = text(first);
    return error;
  }

  #made<T>(value: T): T {
    this.#seen.push(value);
    return value;
  }
}

function pairs(images: readonly Image[]): [Image, Image][] {
  if (images.length % 2 !== 0) wrong("a key has no value");
  return Array.from({ length: images.length / 2 }, (_, at) => [
    images[2 * at] as Image,
    images[2 * at + 1] as Image,
  ]);
}

function viewOf(name: string, bytes: Image | undefined): unknown {
  if (!(bytes instanceof Uint8Array) || !viewClasses.has(name)) return wrong(`a view of ${name}`);
  if (name === "Buffer") return Buffer.from(bytes);
  const { buffer } = bytes.slice();
  if (name === "ArrayBuffer") return buffer;
  const View = viewClasses.get(name) as Int8ArrayConstructor;
  // A DataView has no elements.
  if (bytes.length % (View.BYTES_PER_ELEMENT ?? 1) !== 0) return wrong(`a ${name} of ${bytes.length} bytes`);
  return new View(buffer);
}

function expression(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags);
  } catch (error) {
    return wrong(String(error));
  }
}

function text(image: Image | undefined): string {
  return typeof image === "string" ? image : wrong("text is missing");
}

function wrong(why: string): never {
  throw new NanoError("unreadable", `a value of the capsule is damaged: ${why}`);
}

/**
 * Where two images first differ, as a path into their values; undefined if they are equal. What is one object twice in
 * one of them may be two equal ones in the other: messages come to a process, and to its replay, each by itself.
 */
export function imageDifference(one: Image, other: Image): string | undefined {
  return new Comparison(one, other).difference(one, other);
}

class Comparison {
  readonly #one: readonly Image[];
  readonly #other: readonly Image[];
  /** What is being compared, or was found equal: cycles end here. */
  readonly #met = new Map<Image, Set<Image>>();

  constructor(one: Image, other: Image) {
    this.#one = objectsOf(one);
    this.#other = objectsOf(other);
  }

  difference(first: Image, second: Image): string | undefined {
    const one = resolved(first, this.#one);
    const other = resolved(second, this.#other);
    if (!Array.isArray(one) || !Array.isArray(other)) return sameLeaf(one, other) ? undefined : "";
    const met = this.#met.get(one) ?? new Set();
    if (met.has(other)) return undefined;
    this.#met.set(one, met.add(other));
    const keyed = one[0] === codes.object || one[0] === codes.nullObject || one[0] === codes.map;
    for (let at = 0; at < Math.max(one.length, other.length); at++) {
      if (at >= one.length || at >= other.length) return keyed ? "" : String(at - 1);
      const inner = this.difference(one[at] as Image, other[at] as Image);
      if (inner === undefined) continue;
      if (!keyed) return one[0] === codes.array && at > 0 ? joined(String(at - 1), inner) : inner;
      return at % 2 === 0 && at > 0 ? joined(String(one[at - 1]), inner) : "";
    }
    return undefined;
  }
}

function resolved(image: Image, objects: readonly Image[]): Image {
  if (!Array.isArray(image) || image[0] !== codes.again) return image;
  return objects[image[1] as number] ?? image;
}

const containers: readonly unknown[] = [codes.array, codes.object, codes.nullObject, codes.map, codes.set];
const withinOnly: readonly unknown[] = [codes.error, codes.nanoError];
const numbered: readonly unknown[] = [...containers, codes.date, codes.regexp, codes.view];

/** In the order in which they were numbered. */
function objectsOf(image: Image): Image[] {
  const objects: Image[] = [];
  const visit = (each: Image): void => {
    if (each instanceof Uint8Array) objects.push(each);
    if (!Array.isArray(each)) return;
    if (numbered.includes(each[0])) objects.push(each);
    if (containers.includes(each[0]) || withinOnly.includes(each[0]))
      for (const inner of each.slice(1)) visit(inner);
  };
  visit(image);
  return objects;
}

function joined(key: string, inner: string): string {
  return inner === "" ? key : `${key}.${inner}`;
}

function sameLeaf(one: Image, other: Image): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(one, other) === 0;
  return one === other;
}
