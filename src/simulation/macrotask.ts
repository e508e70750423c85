/**
 * How the loop knows that everything an event set off has run: it lets the event loop take one turn. A turn begins
 * only when no microtask is left, and in a simulation nothing but microtasks can follow from an event: every timer,
 * message and file is a seam, and seams only add to the heap. So the order of everything is that of the heap and of
 * V8's microtask queue, which is first in, first out: nothing depends on how long a turn took.
 *
 * A MessageChannel makes the turn: 0.9 us, against 1.1 us for setImmediate and 1.6 us for a drain of 32 awaits, which
 * would moreover let the next event overtake a longer chain of awaits (measured, Node 20).
 */
export class Macrotask {
  readonly #channel = new MessageChannel();
  #resolve: (() => void) | undefined;

  constructor() {
    this.#channel.port1.on("message", () => this.#resolve?.());
  }

  /** Resolves when no microtask is left. One at a time. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#channel.port2.postMessage(0);
    });
  }

  close(): void {
    this.#channel.port1.close();
  }
}
