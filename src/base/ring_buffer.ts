/**
 * A growable FIFO over an array of a power of two: push and shift without moving elements. Allocated at the
 * first push, so that an idle mailbox costs nothing.
 */

const firstCapacity = 8;

export class RingBuffer<T> {
  #slots: (T | undefined)[] | undefined;
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: T): void {
    let slots = this.#slots;
    if (slots === undefined) {
      slots = new Array<T | undefined>(firstCapacity).fill(undefined);
      this.#slots = slots;
    } else if (this.#length === slots.length) {
      slots = this.#grow(slots);
    }
    slots[(this.#head + this.#length) & (slots.length - 1)] = value;
    this.#length++;
  }

  shift(): T | undefined {
    const slots = this.#slots;
    if (slots === undefined || this.#length === 0) return undefined;
    const value = slots[this.#head];
    slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (slots.length - 1);
    this.#length--;
    return value;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots?.[this.#head];
  }

  /** The element at a place, from 0, the oldest. */
  at(place: number): T | undefined {
    const slots = this.#slots;
    if (slots === undefined || place >= this.#length) return undefined;
    return slots[(this.#head + place) & (slots.length - 1)];
  }

  /** Removes the first element for which `matches` holds and returns it; linear. */
  remove(matches: (value: T) => boolean): T | undefined {
    let found: T | undefined;
    const count = this.#length;
    for (let i = 0; i < count; i++) {
      const value = this.shift() as T;
      if (found === undefined && matches(value)) found = value;
      else this.push(value);
    }
    return found;
  }

  clear(): T[] {
    const values: T[] = [];
    for (let value = this.shift(); value !== undefined; value = this.shift()) values.push(value);
    return values;
  }

  #grow(slots: (T | undefined)[]): (T | undefined)[] {
    const larger = new Array<T | undefined>(slots.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i++) larger[i] = slots[(this.#head + i) & (slots.length - 1)];
    this.#slots = larger;
    this.#head = 0;
    return larger;
  }
}
