/**
 * The shapes of a writer's objects: their keys in their order. Found without a hash where objects follow each other
 * as they did before, which is how traffic is; otherwise key by key. State: what was seen, bounded; and which shapes
 * the batch in hand has named.
 */

import { codecLimits } from "../base/limits.ts";

export interface Shape {
  readonly keys: readonly string[];
  /** The keys as text: what the reader is told. */
  readonly definition: string;
}

class KnownShape implements Shape {
  readonly keys: readonly string[];
  readonly definition: string;
  /** The one that came after it last time. */
  next: KnownShape | undefined;
  /** In the batch of this number. */
  place = 0;
  batch = 0;

  constructor(keys: readonly string[]) {
    this.keys = keys;
    this.definition = JSON.stringify(keys);
  }
}

/** Where the keys so far lead. */
class Node {
  readonly after = new Map<string, Node>();
  shape: KnownShape | undefined;
}

export class Shapes {
  #root = new Node();
  #nodes = 0;
  #last = new KnownShape([]);
  #batch = 0;
  #placed = 0;

  /** Starts on a new batch: no shape has a place in it. */
  begin(): void {
    this.#batch++;
    this.#placed = 0;
  }

  /** Undefined for an object whose keys are data: too many, or one that would set a prototype. */
  of(value: Readonly<Record<string, unknown>>): Shape | undefined {
    const expected = this.#last.next;
    const shape = expected !== undefined && has(value, expected.keys) ? expected : this.#found(value);
    if (shape === undefined) return undefined;
    this.#last.next = shape;
    this.#last = shape;
    return shape;
  }

  /** Its place in the batch; undefined the first time: then it gets the next one. */
  place(shape: Shape): number | undefined {
    const known = shape as KnownShape;
    if (known.batch === this.#batch) return known.place;
    known.batch = this.#batch;
    known.place = this.#placed++;
    return undefined;
  }

  #found(value: Readonly<Record<string, unknown>>): KnownShape | undefined {
    const keys = Object.keys(value);
    if (keys.length > codecLimits.shapeKeysMax || keys.includes("__proto__")) return undefined;
    let node = this.#root;
    for (const key of keys) node = node.after.get(key) ?? this.#grow(node, key);
    node.shape ??= new KnownShape(keys);
    return node.shape;
  }

  #grow(node: Node, key: string): Node {
    if (this.#nodes === codecLimits.shapeNodesMax) {
      // The shapes in hand stay valid; those that are used are found again.
      this.#root = new Node();
      this.#nodes = 0;
    }
    this.#nodes++;
    const next = new Node();
    node.after.set(key, next);
    return next;
  }
}

function has(value: Readonly<Record<string, unknown>>, keys: readonly string[]): boolean {
  let i = 0;
  for (const key in value) if (key !== keys[i++]) return false;
  return i === keys.length;
}
