/**
 * What can cross from one thread to another, as a type. Refs use it, so that a message or an answer that can't is
 * refused where it is sent, with its path in the error. Types alone: the codec (columns.ts) decides in the end, and
 * development's wire check (core/wire_check.ts) finds what types can't say.
 */

/** What the codec carries as it is, although it has methods. */
type Carried =
  | Date
  | RegExp
  | ArrayBuffer
  | ArrayBufferView
  | Error
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined;

/** So deep is looked; a type that holds itself would be looked through for ever. */
type DepthMax = 6;

type AnyFunction = (...args: never) => unknown;

type Within<Path extends string, Key> = Path extends ""
  ? `${Key & (string | number)}`
  : `${Path}.${Key & (string | number)}`;

type Refused<
  Path extends string,
  What extends string,
> = `${Path extends "" ? "it" : Path} is ${What}: it can't cross to another thread`;

/** A text for each part of `T` that can't cross; never if there is none. */
export type Unsendable<T, Path extends string = "", Depth extends readonly unknown[] = []> = unknown extends T
  ? never
  : Depth["length"] extends DepthMax
    ? never
    : T extends Carried
      ? never
      : T extends symbol
        ? Refused<Path, "a symbol">
        : T extends AnyFunction
          ? Refused<Path, "a function">
          : T extends PromiseLike<unknown>
            ? Refused<Path, "a promise">
            : T extends WeakKeyed
              ? Refused<Path, "a weak collection">
              : T extends ReadonlyMap<infer Key, infer Value>
                ?
                    | Unsendable<Key, Within<Path, "key">, [...Depth, 0]>
                    | Unsendable<Value, Within<Path, "value">, [...Depth, 0]>
                : T extends ReadonlySet<infer Element>
                  ? Unsendable<Element, Within<Path, "element">, [...Depth, 0]>
                  : T extends readonly (infer Element)[]
                    ? Unsendable<Element, Within<Path, "element">, [...Depth, 0]>
                    : UnsendableField<T, Path, Depth>;

type WeakKeyed = WeakMap<WeakKey, unknown> | WeakSet<WeakKey>;

type UnsendableField<T, Path extends string, Depth extends readonly unknown[]> = {
  [Key in keyof T]-?: Unsendable<T[Key], Within<Path, Key>, [...Depth, 0]>;
}[keyof T];

/** `T` if all of it can cross to another thread; otherwise the texts that say what can't. */
export type Sendable<T> = [Unsendable<T>] extends [never] ? T : Unsendable<T>;
