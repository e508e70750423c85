/** The workers of a factory: how they start, start again and leave. State: the dispatcher's. */

import type { State, Worker, WorkerVersion } from "./factory_state.ts";
import type { Former } from "./hand_over.ts";
import type { Pid } from "./pid.ts";

/** A restart under way. */
export interface Restart {
  readonly worker: Worker;
  readonly version: WorkerVersion;
}

/** Side by side; if one fails, the others are stopped and its error is thrown. */
export async function addWorkers(state: State, wanted: number): Promise<void> {
  const missing = Math.max(0, wanted - state.workers.length);
  const { version } = state;
  const first = state.workers.length;
  const starts = await Promise.allSettled(
    Array.from({ length: missing }, (_, i) => startWorker(state, first + i, version)),
  );
  const failed = starts.find((start) => start.status === "rejected");
  for (const start of starts) {
    if (start.status === "rejected") continue;
    const worker: Worker = {
      index: state.workers.length,
      version,
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

/** The worker may take a job, unless it has one, has ended, was resized away, or is about to be upgraded. */
export function free(state: State, worker: Worker): void {
  if (state.workers[worker.index] !== worker) return;
  if (state.upgrade?.held === worker) {
    state.self.castSelf("changeHeld");
    return;
  }
  if (worker.pid !== undefined && worker.lane === undefined) state.idle.add(worker.index);
}

export function startWorker(
  { self, options }: State,
  index: number,
  { definition, threads }: WorkerVersion,
  former?: Former,
): Promise<Pid> {
  const thread = threads === undefined ? options.thread : threads[index % threads.length];
  const placed = thread === undefined ? {} : { thread };
  const takesOver = former === undefined ? {} : { former };
  return self.spawnNamed(definition, options.args, { link: true, ...placed, ...takesOver });
}

export function restart(state: State, worker: Worker): void {
  state.starting++;
  const version = versionOf(state, worker);
  state.self.pipe(startWorker(state, worker.index, version), "restarted", {
    worker,
    version,
  } satisfies Restart);
}

/** What a worker is started again as. */
function versionOf({ upgrade, version }: State, worker: Worker): WorkerVersion {
  if (upgrade === undefined) return version;
  // What can't live may be what the next version mends.
  return upgrade.held === worker && upgrade.failure === undefined ? upgrade.next : worker.version;
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
