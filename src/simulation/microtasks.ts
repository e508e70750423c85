/**
 * How the loop knows that everything an event set off has run: it has V8 run its microtasks until none is left. In a
 * simulation nothing but microtasks can follow from an event: every timer, message and file is a seam, and seams only
 * add to the heap. So the order of everything is that of the heap and of V8's microtask queue, which is first in, first
 * out.
 *
 * Node runs its tick queue and the microtasks after each callback of the event loop by this function, which it leaves
 * on `process` since its first days; called from such a callback it does so at once. It costs 0.1 us; a turn of the
 * event loop, by a MessageChannel, costs 0.9 us and lets the world outside in between (Node 20, 22 and 24).
 */

import { NanoError } from "../base/errors.ts";

const { _tickCallback: runTicksAndMicrotasks } = process as unknown as {
  readonly _tickCallback?: () => void;
};

/** Only in a callback of the event loop: in a microtask it would do nothing. */
export function drainMicrotasks(): void {
  if (runTicksAndMicrotasks === undefined) {
    const text = `the simulator can't run microtasks on Node ${process.version}: process._tickCallback is gone`;
    throw new NanoError("config", text, { cure: "use Node 20, 22 or 24" });
  }
  runTicksAndMicrotasks();
}

/** Runs `callback` as one of the event loop's, after everything that waits there now. */
export const inEventLoop: (callback: () => void) => void = setImmediate;
