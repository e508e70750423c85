/** Ready processes run in microtasks; after a budget the event loop has its turn. */

import type { Executor } from "../seams/executor.ts";
import { guarded, inMicrotask } from "./microtask.ts";

/** A thread's queue has one task. */
let [last, lastGuarded]: [task: () => void, guarded: () => void] = [() => undefined, () => undefined];

export const nodeExecutor: Executor = {
  soon: (task) => {
    if (task !== last) [last, lastGuarded] = [task, guarded(task)];
    inMicrotask(lastGuarded);
  },
  later: (task) => {
    setImmediate(task);
  },
};
