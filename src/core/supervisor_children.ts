/**
 * The children of a supervisor: who they are, and which of them a caller means. What is done with them is in
 * supervisor.ts.
 */

import { NanoError } from "../base/errors.ts";
import type { ChildSpec, ChildType, SupervisorSpec } from "./child_spec.ts";
import { formatPid, type Pid } from "./pid.ts";
import type { Self, TimerRef } from "./self.ts";

export interface Child {
  spec: ChildSpec;
  pid: Pid | undefined;
  /** Its restart failed, or waits for its delay or its thread, and will be tried again. */
  restarting:
    | { readonly timer: TimerRef; readonly sinceMs: number; readonly former: Pid | undefined }
    | undefined;
}

export interface State {
  readonly self: Self;
  spec: SupervisorSpec;
  /** By id, in start order. */
  readonly children: Map<string, Child>;
  readonly byPid: Map<string, Child>;
  /** Restarts within the period; those that one thread's death caused count once. */
  restarts: { readonly atMs: number; readonly thread: string | undefined }[];
  nextDynamic: number;
}

export function setPid(state: State, child: Child, pid: Pid | undefined): void {
  if (child.pid !== undefined) state.byPid.delete(formatPid(child.pid));
  child.pid = pid;
  if (pid !== undefined) state.byPid.set(formatPid(pid), child);
}

/** Whether the spec outlives the process. */
export function keepsSpec(state: State, { spec }: Child): boolean {
  return spec.restart !== "temporary" && state.spec.strategy !== "simple_one_for_one";
}

export function typeOf({ type = "worker" }: ChildSpec): ChildType {
  return type;
}

export function find(state: State, idOrPid: string | Pid): Child {
  if (typeof idOrPid === "string") {
    const child = state.children.get(idOrPid);
    if (child !== undefined) return child;
    throw new NanoError("not_found", `no child with id ${idOrPid}`);
  }
  const printed = typeof idOrPid === "object" && idOrPid !== null ? formatPid(idOrPid) : String(idOrPid);
  const child = state.byPid.get(printed) ?? restartingAfter(state, printed);
  if (child === undefined) throw new NanoError("not_found", `no child with pid ${printed}`);
  return child;
}

/** Whoever knows a child by its pid still does while its restart is being tried. */
function restartingAfter(state: State, printed: string): Child | undefined {
  for (const child of state.children.values()) {
    const former = child.restarting?.former;
    if (former !== undefined && formatPid(former) === printed) return child;
  }
  return undefined;
}

export function findStopped(state: State, id: string): Child {
  if (state.spec.strategy === "simple_one_for_one") {
    const text =
      "children of simple_one_for_one can't be restarted or deleted by id: they have no spec of their own";
    throw new NanoError("bad_argument", text, { field: "id" });
  }
  const child = find(state, id);
  if (child.pid !== undefined) throw new NanoError("running", `child ${id} is running`, { pid: child.pid });
  if (child.restarting !== undefined)
    throw new NanoError("restarting", `child ${id} is being restarted; terminate it first`);
  return child;
}

export function refuseStanding(state: State, id: string): void {
  const standing = state.children.get(id);
  if (standing === undefined) return;
  if (standing.pid === undefined)
    throw new NanoError("already_present", `child ${id} has a spec here; restart or delete it`);
  throw new NanoError("already_started", `child ${id} is running`, { pid: standing.pid });
}
