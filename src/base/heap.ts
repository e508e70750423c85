/** A binary min-heap by a numeric priority; ties leave in the order they came. */

interface Slot<T> {
  readonly priority: number;
  readonly order: number;
  readonly value: T;
}

export class Heap<T> {
  readonly #slots: Slot<T>[] = [];
  #nextOrder = 0;

  get size(): number {
    return this.#slots.length;
  }

  /** The lowest priority; undefined if empty. */
  get first(): number | undefined {
    return this.#slots[0]?.priority;
  }

  push(priority: number, value: T): void {
    const slots = this.#slots;
    const slot = { priority, order: this.#nextOrder++, value };
    let index = slots.length;
    slots.push(slot);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = slots[parent] as Slot<T>;
      if (before(above, slot)) break;
      slots[index] = above;
      index = parent;
    }
    slots[index] = slot;
  }

  pop(): T | undefined {
    const slots = this.#slots;
    const top = slots[0];
    const last = slots.pop();
    if (top === undefined || last === undefined) return undefined;
    if (slots.length > 0) this.#sink(last);
    return top.value;
  }

  /** All of it, in no order. */
  *entries(): IterableIterator<readonly [priority: number, value: T]> {
    for (const { priority, value } of this.#slots) yield [priority, value];
  }

  #sink(slot: Slot<T>): void {
    const slots = this.#slots;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      const left = slots[child];
      if (left === undefined) break;
      const right = slots[child + 1];
      if (right !== undefined && before(right, left)) child++;
      const smaller = slots[child] as Slot<T>;
      if (before(slot, smaller)) break;
      slots[index] = smaller;
      index = child;
    }
    slots[index] = slot;
  }
}

function before<T>(a: Slot<T>, b: Slot<T>): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.order < b.order);
}
