/**
 * Tasks in microtasks, at 0.1 us less than queueMicrotask, which makes an async resource of each (Node 20). What is run
 * often is guarded once.
 */

const resolved = Promise.resolve();

/** What escapes the task is an uncaught exception, not a rejection that a process may be told to ignore. */
export function guarded(task: () => void): () => void {
  return () => {
    try {
      task();
    } catch (error) {
      setImmediate(() => {
        throw error;
      });
    }
  };
}

/** Runs what `guarded` made when the microtasks that wait now have run. */
export function inMicrotask(guardedTask: () => void): void {
  void resolved.then(guardedTask);
}
