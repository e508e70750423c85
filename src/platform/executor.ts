/** Ready processes run in microtasks; after a budget the event loop has its turn. */

import type { Executor } from "../seams/executor.ts";

export const nodeExecutor: Executor = {
  soon: (task) => queueMicrotask(task),
  later: (task) => {
    setImmediate(task);
  },
};
