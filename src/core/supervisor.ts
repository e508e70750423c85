/**
 * supervisor: starts children in order, restarts them by its strategy, stops them in reverse order. Itself a
 * gen_server that traps exits, so supervisors nest. Source of the behaviour: OTP's supervisor.
 *
 * State: the children with their pids, the times of recent restarts.
 * Messages: startChild, terminateChild, restartChild, deleteChild, whichChildren, countChildren, getChildSpec,
 * changeSpec, changeChild; exits as info.
 *
 * Always true: a child whose pid is set is running or its exit is on its way; more than `intensity` restarts in
 * `periodMs` end the supervisor with a crash that its own supervisor sees. Between two tries of a restart that failed,
 * or while a dead thread is away, it answers. (OTP's gives up with `shutdown`: then a transient one stays away.)
 */

import { type ErrorData, hasCode, NanoError, toErrorData } from "../base/errors.ts";
import { changeSpec } from "./change_spec.ts";
import {
  addedSpec,
  type ChildSpec,
  type ChildType,
  checkChildOf,
  type SupervisorSpec,
  supervisorSpec,
} from "./child_spec.ts";
import { isCrash } from "./crash_report.ts";
import type { ExitReason, From } from "./envelope.ts";
import { genServer, type Info, isNoReply, type NoReply, noReply, type Stop, stop } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { formatPid, type Pid } from "./pid.ts";
import { restartDelayMs } from "./restart_delay.ts";
import {
  type Child,
  find,
  findStopped,
  keepsSpec,
  refuseStanding,
  type State,
  setPid,
  typeOf,
} from "./supervisor_children.ts";

export interface ChildInfo {
  readonly id: string;
  readonly pid: Pid | undefined;
  readonly restart: ChildSpec["restart"];
  readonly type: ChildType;
  /** It ended, and its restart waits (for its delay, for its thread) or is tried again and again. */
  readonly restarting: boolean;
}

export interface ChildCounts {
  readonly specs: number;
  /** Children with a process. */
  readonly active: number;
  /** Children of each type, running or not. */
  readonly supervisors: number;
  readonly workers: number;
}

/** A start that a caller waits for. */
interface AskedStart {
  readonly spec: ChildSpec;
  /** The spec is here already: a restart. */
  readonly isKnown: boolean;
  readonly from: From<Pid | undefined>;
  readonly sinceMs: number;
}

export const supervisor = genServer(import.meta.url, "supervisor", {
  init: async (options: SupervisorSpec, self): Promise<State> => {
    const spec = supervisorSpec(options);
    self.trapExit();
    const children = new Map<string, Child>();
    const state: State = { self, spec, children, byPid: new Map(), restarts: [], nextDynamic: 1 };
    if (spec.strategy === "simple_one_for_one") return state;
    for (const childSpec of spec.children) {
      try {
        await addChild(state, childSpec, "wait");
      } catch (error) {
        await stopChildren(state, [...state.children.values()]);
        const { code, message, details } = toErrorData(error);
        throw new NanoError(code, `child ${childSpec.id} did not start: ${message}`, details ?? {});
      }
    }
    return state;
  },

  /** Options of children of this thread may hold anything. */
  local: ["startChild", "changeChild", "getChildSpec", "changeSpec"],

  call: {
    /**
     * Adds and starts a child; for simple_one_for_one `options` replace the template's. Returns undefined if its
     * `init` returned `ignore`: then only its spec is here (of a temporary or dynamic child, nothing). Errors:
     * `already_started`, `already_present`, `bad_argument` naming the field, what its `init` threw: then nothing is
     * kept.
     */
    startChild: (
      state,
      added: ChildSpec | { readonly options: unknown },
      from: From<Pid | undefined>,
    ): Promise<Pid | undefined | NoReply> => {
      const spec = addedSpec(state.spec, added, () => state.nextDynamic++);
      return startOrWait(state, { spec, isKnown: false, from, sinceMs: state.self.clock.monotonicMs() });
    },

    /**
     * Stops a child, also one whose restart is being tried, and keeps its spec (not that of a temporary or dynamic
     * child). A dynamic child may be named by its pid. Errors: `not_found`.
     */
    terminateChild: async (state, idOrPid: string | Pid): Promise<void> => {
      const child = find(state, idOrPid);
      await stopChild(state, child);
      if (!keepsSpec(state, child)) state.children.delete(child.spec.id);
    },

    /** Starts a stopped child again. Errors: `not_found`, `running`, `restarting`, `bad_argument` if it is dynamic. */
    restartChild: (state, id: string, from: From<Pid | undefined>): Promise<Pid | undefined | NoReply> => {
      const { spec } = findStopped(state, id);
      return startOrWait(state, { spec, isKnown: true, from, sinceMs: state.self.clock.monotonicMs() });
    },

    /** Forgets a stopped child. Errors: `not_found`, `running`, `restarting`, `bad_argument` if it is dynamic. */
    deleteChild: (state, id: string) => {
      findStopped(state, id);
      state.children.delete(id);
    },

    /** In start order. */
    whichChildren: (state): ChildInfo[] =>
      [...state.children.values()].map(({ spec, pid, restarting }) => ({
        id: spec.id,
        pid,
        restart: spec.restart,
        type: typeOf(spec),
        restarting: restarting !== undefined,
      })),

    countChildren: (state): ChildCounts => {
      const children = [...state.children.values()];
      const supervisors = children.filter(({ spec }) => typeOf(spec) === "supervisor").length;
      return {
        specs: state.spec.strategy === "simple_one_for_one" ? 1 : children.length,
        active: children.filter(({ pid }) => pid !== undefined).length,
        supervisors,
        workers: children.length - supervisors,
      };
    },

    /**
     * From now on this spec: flags at once, a child's from its next start on. A new child is not started (see
     * `restartChild`), one that is not named any more stays. Errors: `bad_argument` naming the field: then nothing
     * has changed.
     */
    changeSpec: (state, spec: SupervisorSpec): void => changeSpec(state, spec),

    /** From its next start on the child of this id has this spec. Errors: `not_found`, `bad_argument`: its field. */
    changeChild: (state, spec: ChildSpec): void => {
      find(state, spec.id).spec = checkChildOf(state.spec, spec);
    },

    /** Errors: `not_found`. */
    getChildSpec: (state, id: string): ChildSpec => find(state, id).spec,
  },

  cast: {
    /** A restart that failed is tried again; it counts against the intensity. */
    again: (state, id: string) => {
      const child = state.children.get(id);
      return child?.restarting === undefined ? undefined : restart(state, child, "noproc", undefined);
    },

    /** A start that was asked for waits for its thread. */
    startWhenBack: async (state, asked: AskedStart) => {
      try {
        const pid = await startOrWait(state, asked);
        if (!isNoReply(pid)) state.self.reply(asked.from, pid);
      } catch (error) {
        if (!(error instanceof NanoError)) throw error;
        state.self.replyError(asked.from, error);
      }
    },

    /** A restart whose delay is over; a thread that is away is waited for from now on. */
    delayed: (state, id: string) => {
      const child = state.children.get(id);
      if (child?.restarting === undefined) return undefined;
      child.restarting = { ...child.restarting, sinceMs: state.self.clock.monotonicMs() };
      return startAgain(state, child);
    },

    /** A child of a thread that was away: goes on once it is back, which does not count. */
    threadBack: (state, id: string) => {
      const child = state.children.get(id);
      return child?.restarting === undefined ? undefined : startAgain(state, child);
    },
  },

  info: (state, info: Info) => {
    if (info.type !== "exit") return undefined;
    const child = state.byPid.get(formatPid(info.pid));
    if (child === undefined) return undefined;
    setPid(state, child, undefined);
    const { restart: kind } = child.spec;
    if (kind === "permanent" || (kind === "transient" && isCrash(info.reason)))
      return restart(state, child, info.reason, info.pid);
    if (!keepsSpec(state, child)) state.children.delete(child.spec.id);
    return endsWith(state, child) ? stop("shutdown") : undefined;
  },

  terminate: (state) => stopChildren(state, [...state.children.values()]),
});

// --- restarts ----------------------------------------------------------------------------------------------------

async function restart(
  state: State,
  failed: Child,
  reason: ExitReason,
  former: Pid | undefined,
): Promise<Stop | undefined> {
  const { intensity, periodMs } = state.spec;
  if (!mayRestart(state, reason, former)) {
    const message = `child ${failed.spec.id}: more than ${intensity} restarts in ${periodMs} ms`;
    state.self.log.error({ child: failed.spec.id, reason }, message);
    return stop({ crash: { code: "crashed", message } });
  }
  const { restartDelayMs: delay } = state.spec;
  const chance = delay === undefined ? 0 : state.self.random.next("supervisor.restart");
  const delayMs = delay === undefined ? 0 : restartDelayMs(delay, state.restarts.length, chance);
  state.self.log.warn({ child: failed.spec.id, reason, delayMs }, "restarting");
  if (delayMs === 0) return startAgain(state, failed, former);
  // What depends on it does not run without it meanwhile.
  await stopAffected(state, failed);
  retryLater(state, failed, "delayed", delayMs, former);
  return undefined;
}

/** Counts a restart. False: it is one too many. */
function mayRestart(state: State, reason: ExitReason, former: Pid | undefined): boolean {
  const nowMs = state.self.clock.monotonicMs();
  state.restarts = state.restarts.filter(({ atMs }) => nowMs - atMs < state.spec.periodMs);
  const byThread = typeof reason === "object" && "thread" in reason && former !== undefined;
  const thread = byThread ? `${former.thread}.${former.incarnation}` : undefined;
  if (thread !== undefined && state.restarts.some((each) => each.thread === thread)) return true;
  state.restarts.push({ atMs: nowMs, thread });
  return state.restarts.length <= state.spec.intensity;
}

/** Stops who is affected by the end of `failed` and starts them in order, or arranges to go on later. */
async function startAgain(
  state: State,
  failed: Child,
  former = failed.restarting?.former,
): Promise<undefined> {
  const standing = await stopAffected(state, failed);
  const away = standing
    .map(({ spec }) => state.self.awayThread(spec.thread))
    .find((thread) => thread !== undefined);
  if (away !== undefined) {
    retryThread(state, failed, away, former);
    return undefined;
  }
  cancelRetry(state, failed);
  for (const child of standing) {
    try {
      await startChild(state, child, "fail");
      if (child.pid === undefined && !keepsSpec(state, child)) state.children.delete(child.spec.id);
    } catch (error) {
      state.self.log.error({ child: child.spec.id, error: toErrorData(error) }, "a restart failed");
      retryLater(state, child, "again", coreLimits.restartRetryMs, child === failed ? former : undefined);
      return undefined;
    }
  }
  return undefined;
}

/** Returns who is to be started, in order. */
async function stopAffected(state: State, failed: Child): Promise<Child[]> {
  const affected = affectedBy(state, failed);
  const others = affected.filter((child) => child !== failed);
  await stopChildren(state, others);
  for (const { spec } of others) if (spec.restart === "temporary") state.children.delete(spec.id);
  return affected.filter(({ spec }) => state.children.has(spec.id));
}

/** Who is started again when `failed` ended, in start order. */
function affectedBy(state: State, failed: Child): Child[] {
  switch (state.spec.strategy) {
    case "one_for_one":
    case "simple_one_for_one":
      return [failed];
    case "one_for_all":
      return [...state.children.values()];
    case "rest_for_one": {
      const all = [...state.children.values()];
      return all.slice(all.indexOf(failed));
    }
  }
}

/** A dead thread is being replaced: its children wait for it instead of using up the intensity, but not for ever. */
function retryThread(state: State, child: Child, away: string, former: Pid | undefined): void {
  const waitedMs = state.self.clock.monotonicMs() - (child.restarting?.sinceMs ?? Number.POSITIVE_INFINITY);
  if (waitedMs < coreLimits.threadWaitMs || child.restarting === undefined) {
    retryLater(state, child, "threadBack", coreLimits.threadPollMs, former);
    return;
  }
  const text = `${away} is not back after ${coreLimits.threadWaitMs} ms`;
  state.self.log.error({ child: child.spec.id }, text);
  retryLater(state, child, "again", coreLimits.restartRetryMs, former);
}

function retryLater(
  state: State,
  child: Child,
  method: "again" | "delayed" | "threadBack",
  delayMs: number,
  former: Pid | undefined,
): void {
  const before = child.restarting;
  cancelRetry(state, child);
  child.restarting = {
    timer: state.self.castAfter(delayMs, method, child.spec.id),
    sinceMs: before?.sinceMs ?? state.self.clock.monotonicMs(),
    former: former ?? before?.former,
  };
}

function cancelRetry(state: State, child: Child): void {
  if (child.restarting !== undefined) state.self.cancelTimer(child.restarting.timer);
  child.restarting = undefined;
}

/** Whether the end of this child, by itself and without a restart, ends its supervisor. */
function endsWith(state: State, { spec }: Child): boolean {
  if (spec.significant !== true) return false;
  const { autoShutdown = "never" } = state.spec;
  if (autoShutdown !== "all_significant") return autoShutdown === "any_significant";
  return ![...state.children.values()].some(
    (other) => other.spec.significant === true && (other.pid !== undefined || other.restarting !== undefined),
  );
}

// --- start and stop ----------------------------------------------------------------------------------------------

/** Somebody waits for this start; the supervisor does not: it looks again whether the thread is back. */
async function startOrWait(state: State, asked: AskedStart): Promise<Pid | undefined | NoReply> {
  const { spec, isKnown, sinceMs } = asked;
  if (isKnown) findStopped(state, spec.id);
  else refuseStanding(state, spec.id);
  const away = state.self.awayThread(spec.thread);
  if (away === undefined) {
    const child = isKnown ? findStopped(state, spec.id) : await addChild(state, spec, "fail");
    if (isKnown) await startChild(state, child, "fail");
    return child.pid;
  }
  if (state.self.clock.monotonicMs() - sinceMs > coreLimits.threadWaitMs)
    throw new NanoError("noproc", `${away} did not come back in ${coreLimits.threadWaitMs} ms`);
  state.self.castAfter(coreLimits.threadPollMs, "startWhenBack", asked);
  return noReply;
}

/** Nothing is kept if it fails, or if it does not want to run and its spec is of no use. */
async function addChild(state: State, spec: ChildSpec, ifAway: "wait" | "fail"): Promise<Child> {
  const child: Child = { spec, pid: undefined, restarting: undefined };
  state.children.set(spec.id, child);
  try {
    await startChild(state, child, ifAway);
  } catch (error) {
    state.children.delete(spec.id);
    throw error;
  }
  if (child.pid === undefined && !keepsSpec(state, child)) state.children.delete(spec.id);
  return child;
}

/** Sets the child's pid; to none if its `init` returned `ignore`. `ifAway`: what to do about a thread that is away. */
async function startChild(state: State, child: Child, ifAway: "wait" | "fail"): Promise<void> {
  const { spec } = child;
  const options = {
    link: true,
    ...(spec.name === "" ? {} : { name: spec.name }),
    ...(spec.thread === undefined ? {} : { thread: spec.thread }),
    ...(spec.mailbox === undefined ? {} : { mailbox: spec.mailbox }),
    ...(spec.initTimeoutMs === undefined ? {} : { initTimeoutMs: spec.initTimeoutMs }),
    ...(spec.capsule === undefined ? {} : { capsule: spec.capsule }),
  };
  if (ifAway === "wait") await threadUp(state, spec);
  try {
    const definition = { module: spec.module, name: spec.export };
    setPid(state, child, await state.self.spawnNamed(definition, spec.options, options));
  } catch (error) {
    if (!hasCode(error, "ignored")) throw error;
  }
}

/** For a supervisor that starts itself: nobody can talk to it yet. */
async function threadUp(state: State, spec: ChildSpec): Promise<void> {
  const deadlineMs = state.self.clock.monotonicMs() + coreLimits.threadWaitMs;
  for (
    let away = state.self.awayThread(spec.thread);
    away !== undefined;
    away = state.self.awayThread(spec.thread)
  ) {
    if (state.self.clock.monotonicMs() > deadlineMs) {
      throw new NanoError("noproc", `${away} did not come back in ${coreLimits.threadWaitMs} ms`);
    }
    await state.self.sleep(coreLimits.threadPollMs);
  }
}

/** In reverse start order, one after the other; children of a template together. */
async function stopChildren(state: State, children: readonly Child[]): Promise<void> {
  if (state.spec.strategy === "simple_one_for_one") {
    await Promise.all(children.map((child) => stopChild(state, child)));
    return;
  }
  for (const child of [...children].reverse()) await stopChild(state, child);
}

async function stopChild(state: State, child: Child): Promise<void> {
  cancelRetry(state, child);
  const { pid, spec } = child;
  if (pid === undefined) return;
  setPid(state, child, undefined);
  if (spec.shutdownMs === "brutal_kill") {
    await state.self.stop(pid, { reason: "killed", timeoutMs: 0 });
    return;
  }
  const reason = await state.self.stop(pid, { reason: "shutdown", timeoutMs: spec.shutdownMs });
  if (!isCrash(reason) || reason === "noproc") return;
  const error: ErrorData = { code: "crashed", message: `child ${spec.id} did not end as it was told` };
  state.self.log.error({ child: spec.id, reason, error }, error.message);
}
