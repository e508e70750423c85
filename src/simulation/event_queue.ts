/** What is to happen: a binary heap ordered by (virtual time, tie break, sequence), so the order is total. */

export interface ScheduledEvent {
  readonly atMs: number;
  readonly tie: number;
  readonly sequence: number;
  /** Part of the trace. */
  readonly label: string;
  readonly run: () => void | Promise<void>;
  canceled: boolean;
}

/** Canceled events stay in the heap until they come up, or until they are this many more than the others. */
const canceledSlack = 1_000;

export class EventQueue {
  #slots: ScheduledEvent[] = [];
  #canceled = 0;

  /** Events that will happen. */
  get size(): number {
    return this.#slots.length - this.#canceled;
  }

  push(event: ScheduledEvent): void {
    const slots = this.#slots;
    let index = slots.length;
    slots.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = slots[parent] as ScheduledEvent;
      if (isBefore(above, event)) break;
      slots[index] = above;
      index = parent;
    }
    slots[index] = event;
  }

  cancel(event: ScheduledEvent): void {
    if (event.canceled) return;
    event.canceled = true;
    this.#canceled++;
    if (this.#canceled > this.size + canceledSlack) this.#sweep();
  }

  /** The next event, marked as canceled so that a late `cancel` of it changes nothing. */
  pop(): ScheduledEvent | undefined {
    for (;;) {
      const top = this.#slots[0];
      const last = this.#slots.pop();
      if (top === undefined || last === undefined) return undefined;
      if (this.#slots.length > 0) this.#sink(last, 0);
      if (top.canceled) {
        this.#canceled--;
        continue;
      }
      top.canceled = true;
      return top;
    }
  }

  #sweep(): void {
    this.#slots = this.#slots.filter(({ canceled }) => !canceled);
    this.#canceled = 0;
    for (let index = (this.#slots.length >> 1) - 1; index >= 0; index--) {
      this.#sink(this.#slots[index] as ScheduledEvent, index);
    }
  }

  #sink(event: ScheduledEvent, from: number): void {
    const slots = this.#slots;
    let index = from;
    for (;;) {
      let child = index * 2 + 1;
      const left = slots[child];
      if (left === undefined) break;
      const right = slots[child + 1];
      if (right !== undefined && isBefore(right, left)) child++;
      const smaller = slots[child] as ScheduledEvent;
      if (isBefore(event, smaller)) break;
      slots[index] = smaller;
      index = child;
    }
    slots[index] = event;
  }
}

function isBefore(a: ScheduledEvent, b: ScheduledEvent): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  if (a.tie !== b.tie) return a.tie < b.tie;
  return a.sequence < b.sequence;
}
