/** The workers of a factory: how they start, start again and leave. State: the dispatcher's. */

import type { State, Worker } from "./factory_state.ts";
import type { Pid } from "./pid.ts";

/** Side by side; if one fails, the others are stopped and its error is thrown. */
export async function addWorkers(state: State, wanted: number): Promise<void> {
  const missing = Math.max(0, wanted - state.workers.length);
  const starts = await Promise.allSettled(Array.from({ length: missing }, () => startWorker(state)));
  const failed = starts.find((start) => start.status === "rejected");
  for (const start of starts) {
    if (start.status === "rejected") continue;
    const worker: Worker = {
      index: state.workers.length,
      pid: start.value,
      lane: undefined,
      job: undefined,
      asked: undefined,
      used: false,
    };
    if (failed !== undefined) release(state, worker);
    else {
      state.workers.push(worker);
      free(state, worker);
    }
  }
  if (failed !== undefined) throw failed.reason;
}

/** A worker that was resized away while it started is stopped. */
export function arrived(state: State, worker: Worker, pid: Pid): void {
  worker.pid = pid;
  worker.used = false;
  if (state.workers[worker.index] !== worker) release(state, worker);
  free(state, worker);
}

/** The worker may take a job, unless it has one, has ended, or was resized away. */
export function free(state: State, worker: Worker): void {
  if (state.workers[worker.index] !== worker) return;
  if (worker.pid !== undefined && worker.lane === undefined) state.idle.add(worker.index);
}

function startWorker({ self, options }: State): Promise<Pid> {
  const placed = options.thread === undefined ? {} : { thread: options.thread };
  return self.spawn(options.definition, options.args, { link: true, ...placed });
}

export function restart(state: State, worker: Worker): void {
  state.starting++;
  state.self.pipe(startWorker(state), "restarted", worker);
}

export function release(state: State, worker: Worker): void {
  state.leaving = state.leaving.filter((each) => each !== worker);
  if (worker.pid === undefined) return;
  state.self.unlink(worker.pid);
  state.self.exit(worker.pid, "shutdown");
}

export function running(state: State): number {
  return [...state.workers, ...state.leaving].filter(({ lane }) => lane !== undefined).length;
}
