/**
 * supervisor: starts children in order, restarts them by its strategy, stops them in reverse order. Itself a
 * gen_server that traps exits, so supervisors nest. Source of the behaviour: OTP's supervisor.
 *
 * State: the children with their pids, the times of recent restarts.
 * Messages: startChild, terminateChild, restartChild, deleteChild, whichChildren, countChildren; exits as info.
 *
 * Always true: a child whose pid is set is running or its exit is on its way; more than `intensity` restarts in
 * `periodMs` end the supervisor with a crash that its own supervisor sees.
 */

import { NanoError, toErrorData } from "../base/errors.ts";
import type { ChildSpec, SupervisorSpec } from "./child_spec.ts";
import type { ExitReason } from "./envelope.ts";
import { genServer, type Info, type Stop, stop } from "./gen_server.ts";
import { coreLimits } from "./limits.ts";
import { type Pid, samePid } from "./pid.ts";
import { isCrash } from "./process.ts";
import type { Self } from "./self.ts";

interface Child {
  readonly spec: ChildSpec;
  pid: Pid | undefined;
}

export interface ChildInfo {
  readonly id: string;
  readonly pid: Pid | undefined;
  readonly restart: ChildSpec["restart"];
}

interface State {
  readonly self: Self;
  readonly spec: SupervisorSpec;
  children: Child[];
  restarts: number[];
  nextDynamic: number;
}

export const supervisor = genServer(import.meta.url, "supervisor", {
  init: async (spec: SupervisorSpec, self): Promise<State> => {
    self.trapExit();
    const state: State = { self, spec, children: [], restarts: [], nextDynamic: 1 };
    if (spec.strategy === "simple_one_for_one") return state;
    for (const childSpec of spec.children) {
      const child: Child = { spec: childSpec, pid: undefined };
      state.children.push(child);
      try {
        child.pid = await startChild(state, child);
      } catch (error) {
        await stopChildren(state, state.children);
        const { code, message, details } = toErrorData(error);
        throw new NanoError(code, `child ${childSpec.id} did not start: ${message}`, details ?? {});
      }
    }
    return state;
  },

  call: {
    /** Adds and starts a child; for simple_one_for_one `options` replace the template's. Errors: `already_started`. */
    startChild: async (state, added: ChildSpec | { readonly options: unknown }): Promise<Pid> => {
      const spec = dynamicSpec(state, added);
      const standing = state.children.find((child) => child.spec.id === spec.id);
      if (standing !== undefined) {
        const details = { pid: standing.pid };
        throw new NanoError("already_started", `child ${spec.id} is already here`, details);
      }
      const child: Child = { spec, pid: undefined };
      child.pid = await startChild(state, child);
      state.children.push(child);
      return child.pid;
    },

    /** Stops a child and keeps its spec (a temporary child's is dropped). Errors: `noproc`. */
    terminateChild: async (state, id: string): Promise<void> => {
      const child = find(state, id);
      await stopChild(state, child);
      if (child.spec.restart === "temporary")
        state.children = state.children.filter((each) => each !== child);
    },

    /** Starts a stopped child again. Errors: `noproc`, `already_started`. */
    restartChild: async (state, id: string): Promise<Pid> => {
      const child = find(state, id);
      if (child.pid !== undefined)
        throw new NanoError("already_started", `child ${id} is running`, { pid: child.pid });
      child.pid = await startChild(state, child);
      return child.pid;
    },

    /** Forgets a stopped child. Errors: `noproc`, `conflict` while it runs. */
    deleteChild: (state, id: string) => {
      const child = find(state, id);
      if (child.pid !== undefined)
        throw new NanoError("conflict", `child ${id} is running; terminate it first`);
      state.children = state.children.filter((each) => each !== child);
    },

    whichChildren: (state): ChildInfo[] =>
      state.children.map(({ spec, pid }) => ({ id: spec.id, pid, restart: spec.restart })),

    countChildren: (state) => ({
      specs: state.spec.strategy === "simple_one_for_one" ? 1 : state.children.length,
      active: state.children.filter(({ pid }) => pid !== undefined).length,
    }),
  },

  cast: {
    /** A restart that failed is tried again; it counts against the intensity. */
    again: (state, id: string) => {
      const child = state.children.find(({ spec }) => spec.id === id);
      return child === undefined || child.pid !== undefined ? undefined : restart(state, child, "noproc");
    },
  },

  info: (state, info: Info) => {
    if (info.type !== "exit") return undefined;
    const child = state.children.find(({ pid }) => pid !== undefined && samePid(pid, info.pid));
    if (child === undefined) return undefined;
    child.pid = undefined;
    const wanted =
      child.spec.restart === "permanent" || (child.spec.restart === "transient" && isCrash(info.reason));
    if (wanted) return restart(state, child, info.reason);
    if (child.spec.restart === "temporary" || state.spec.strategy === "simple_one_for_one") {
      state.children = state.children.filter((each) => each !== child);
    }
    return undefined;
  },

  terminate: (state) => stopChildren(state, state.children),
});

async function restart(state: State, failed: Child, reason: ExitReason): Promise<Stop | undefined> {
  const now = state.self.clock.monotonicMs();
  state.restarts = [...state.restarts.filter((at) => now - at < state.spec.periodMs), now];
  if (state.restarts.length > state.spec.intensity) {
    const message = `child ${failed.spec.id}: more than ${state.spec.intensity} restarts in ${state.spec.periodMs} ms`;
    state.self.log.error({ child: failed.spec.id, reason }, message);
    return stop({ crash: { code: "crashed", message } });
  }
  state.self.log.warn({ child: failed.spec.id, reason }, "restarting");
  const affected = affectedBy(state, failed);
  await stopChildren(state, affected);
  for (const child of affected) {
    try {
      child.pid = await startChild(state, child);
    } catch (error) {
      state.self.log.error({ child: child.spec.id, error: toErrorData(error) }, "a restart failed");
      state.self.castAfter(coreLimits.restartRetryMs, "again", child.spec.id);
      return undefined;
    }
  }
  return undefined;
}

/** Who is started again when `failed` ended, in start order. */
function affectedBy(state: State, failed: Child): Child[] {
  switch (state.spec.strategy) {
    case "one_for_one":
    case "simple_one_for_one":
      return [failed];
    case "one_for_all":
      return state.children;
    case "rest_for_one":
      return state.children.slice(state.children.indexOf(failed));
  }
}

async function startChild(state: State, { spec }: Child): Promise<Pid> {
  const name = { module: spec.module, name: spec.export };
  const options = {
    link: true,
    ...(spec.name === "" ? {} : { name: spec.name }),
    ...(spec.thread === undefined ? {} : { thread: spec.thread }),
    ...(spec.mailbox === undefined ? {} : { mailbox: spec.mailbox }),
  };
  if (typeof spec.thread === "number") await threadUp(state, spec.thread);
  return state.self.spawnNamed(name, spec.options, options);
}

/** A dead thread is being replaced: its children wait for it instead of using up the intensity. */
async function threadUp(state: State, thread: number): Promise<void> {
  const deadlineMs = state.self.clock.monotonicMs() + coreLimits.threadWaitMs;
  while (!state.self.threads().includes(thread)) {
    if (state.self.clock.monotonicMs() > deadlineMs) {
      throw new NanoError("noproc", `thread ${thread} did not come back in ${coreLimits.threadWaitMs} ms`);
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
  const { pid, spec } = child;
  if (pid === undefined) return;
  child.pid = undefined;
  if (spec.shutdownMs === "brutal_kill") await state.self.stop(pid, { reason: "killed", timeoutMs: 0 });
  else await state.self.stop(pid, { reason: "shutdown", timeoutMs: spec.shutdownMs });
}

function dynamicSpec(state: State, added: ChildSpec | { readonly options: unknown }): ChildSpec {
  if ("id" in added) return added;
  const template = state.spec.children[0];
  if (state.spec.strategy !== "simple_one_for_one" || template === undefined) {
    throw new NanoError("bad_argument", "only simple_one_for_one starts children from options", {
      field: "options",
    });
  }
  return { ...template, id: `${template.id}-${state.nextDynamic++}`, options: added.options };
}

function find(state: State, id: string): Child {
  const child = state.children.find(({ spec }) => spec.id === id);
  if (child === undefined) throw new NanoError("noproc", `no child with id ${id}`);
  return child;
}
