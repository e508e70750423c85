/**
 * A factory's workers change to the next version of their module, one after the other, while the others work on. A
 * worker is held between two jobs; one of the next version takes over its state elsewhere and its place here; the
 * former is ended. Then the next version is watched for a while before the next worker has its turn.
 *
 * If a worker of the next version can't take over, or ends while it is watched, those that had changed change back, by
 * the former version's `codeChange`. State: the dispatcher's `upgrade`.
 *
 * Always true: a worker that is held has no job and keeps its lanes, so no job is lost or overtakes another of its key;
 * a state is given up only when another process has it.
 */

import { assert } from "../base/assert.ts";
import { type ErrorData, NanoError } from "../base/errors.ts";
import type { From } from "./envelope.ts";
import { dispatch } from "./factory_jobs.ts";
import type { State, Upgrade, UpgradeRequest, Worker, WorkerVersion } from "./factory_state.ts";
import { arrived, free, restart, startWorker } from "./factory_workers.ts";
import type { Piped } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { formatPid, type Pid } from "./pid.ts";

/** Errors: `running`, `shutdown`, `bad_argument`: then nothing has begun. */
export function startUpgrade(state: State, request: UpgradeRequest, from: From<void>): void {
  const { definition, threads, watchMs } = request;
  if (state.upgrade !== undefined) throw new NanoError("running", "the factory is being upgraded already");
  if (state.draining !== undefined) throw new NanoError("shutdown", "the factory takes no more jobs");
  if (threads === undefined && definition.module === state.version.definition.module) {
    const text = `${definition.module} is loaded already: a thread loads a URL once; give the next version another one`;
    throw new NanoError("bad_argument", text, { field: "definition", cure: `${definition.module}?v=2` });
  }
  state.upgrade = {
    next: { definition, threads },
    former: state.version,
    watchMs,
    from,
    failure: undefined,
    held: undefined,
    watch: undefined,
    changing: undefined,
    kept: new Set(),
  };
  changeNext(state);
}

/** Holds the next worker that has to change; it is changed when it has no job. */
export function changeNext(state: State): void {
  const { upgrade } = state;
  if (upgrade === undefined || upgrade.held !== undefined) return;
  const { failure, next, kept } = upgrade;
  const worker =
    failure === undefined
      ? state.workers.find(({ version }) => version !== next)
      : state.workers.findLast((each) => each.version === next && !kept.has(each));
  if (worker === undefined) {
    end(state, upgrade);
    return;
  }
  upgrade.held = worker;
  state.idle.delete(worker.index);
  changeHeld(state);
}

/** If the worker that is held is there and has no job. */
export function changeHeld(state: State): void {
  const { upgrade } = state;
  const worker = upgrade?.held;
  if (upgrade === undefined || worker?.pid === undefined) return;
  if (worker.lane !== undefined || upgrade.changing !== undefined) return;
  const to = upgrade.failure === undefined ? upgrade.next : upgrade.former;
  if (worker.version === to) {
    // It had to start again meanwhile.
    letGo(state, upgrade, worker);
    goOn(state, upgrade);
    return;
  }
  upgrade.changing = to;
  state.starting++;
  state.self.pipe(takeOver(state, worker, worker.pid, to), "changed", worker);
}

/** Whatever went wrong, the one that was to be taken over from goes on. */
async function takeOver(state: State, worker: Worker, pid: Pid, to: WorkerVersion): Promise<Pid> {
  const { self } = state;
  try {
    const former = await self.handOver(pid, coreLimits.callTimeoutMs);
    return await startWorker(state, worker.index, to, former);
  } catch (error) {
    await self.resume(pid).catch(() => undefined);
    throw error;
  }
}

export function changed(state: State, { context: worker, ...result }: Piped<Worker, Pid>): void {
  const { upgrade } = state;
  assert(upgrade?.held === worker && upgrade.changing !== undefined, "only a worker that is held changes");
  const to = upgrade.changing;
  upgrade.changing = undefined;
  state.starting--;
  const former = worker.pid;
  const endedEarly = result.ok && state.endedEarly.delete(formatPid(result.value));
  if (result.ok && !endedEarly) {
    if (former !== undefined) {
      state.self.unlink(former);
      state.self.exit(former, "killed");
    }
    upgrade.held = undefined;
    worker.version = to;
    arrived(state, worker, result.value);
    goOn(state, upgrade);
  } else {
    // Nobody waits for it: it only has to take messages again.
    if (endedEarly && former !== undefined) state.self.resume(former).catch(() => undefined);
    letGo(state, upgrade, worker);
    if (former === undefined) {
      // It ended meanwhile: there is nothing left to hand over.
      worker.version = upgrade.former;
      restart(state, worker);
    } else if (upgrade.failure !== undefined) upgrade.kept.add(worker);
    const early = { code: "crashed", message: "it ended as soon as it had started" };
    goBack(state, upgrade, result.ok ? early : result.error);
  }
  dispatch(state);
}

/** A worker ended that the upgrade may have to do with. True: the upgrade sees to its place. */
export function workerEnded(state: State, worker: Worker, error: ErrorData): boolean {
  const { upgrade } = state;
  if (upgrade === undefined) return false;
  if (upgrade.held === worker && upgrade.changing !== undefined) return true;
  if (worker.version === upgrade.next) {
    worker.version = upgrade.former;
    upgrade.kept.delete(worker);
    goBack(state, upgrade, error);
  }
  return false;
}

/** After a worker has changed: the next one, once this one has lived for a while. */
function goOn(state: State, upgrade: Upgrade): void {
  if (upgrade.failure === undefined) upgrade.watch = state.self.castAfter(upgrade.watchMs, "changeNext");
  else state.self.castSelf("changeNext");
}

function goBack(state: State, upgrade: Upgrade, error: ErrorData): void {
  if (upgrade.failure === undefined) {
    state.self.log.error({ error }, "an upgrade fails: the former version comes back");
    upgrade.failure = error;
    if (upgrade.watch !== undefined) state.self.cancelTimer(upgrade.watch);
    // One that only waits for the end of its job has nothing to go back from.
    if (upgrade.held !== undefined && upgrade.changing === undefined) letGo(state, upgrade, upgrade.held);
  }
  state.self.castSelf("changeNext");
}

function letGo(state: State, upgrade: Upgrade, worker: Worker): void {
  upgrade.held = undefined;
  free(state, worker);
}

function end(state: State, { next, failure, kept, from }: Upgrade): void {
  state.upgrade = undefined;
  if (failure === undefined) {
    state.version = next;
    state.self.reply(from, undefined);
    return;
  }
  const workers = [...kept].map(({ index }) => index);
  const left = workers.length === 0 ? "" : `; workers ${workers.join(", ")} can't go back and stay`;
  const message = `the upgrade failed, the former version is back${left}: ${failure.message}`;
  state.self.replyError(from, { code: "rolled_back", message, details: { cause: failure, kept: workers } });
}
