/**
 * Who has a data directory: a record in its lock file, for errors to name, and for a judgement by itself where the
 * platform has no lock that dies with its process. A process is told from a later one with its number by when it
 * started, and from one in another container by its pid namespace.
 */

import { readFileSync, readlinkSync } from "node:fs";
import { threadId } from "node:worker_threads";

export interface Holder {
  readonly pid: number;
  /** When the process started, in clock ticks of this boot; "" where the platform does not tell. */
  readonly started: string;
  /** Pid namespace and boot; "" where the platform does not tell. */
  readonly world: string;
  /** The thread of the process that took the lock. */
  readonly thread: number;
  /** ISO 8601. */
  readonly since: string;
}

export function thisHolder(): Holder {
  const { pid } = process;
  return {
    pid,
    started: startOf(pid),
    world: thisWorld(),
    thread: threadId,
    since: new Date().toISOString(),
  };
}

/** True for a record of this process, whichever of its threads wrote it. */
export function isThisProcess(holder: Holder): boolean {
  return (
    holder.pid === process.pid && holder.world === thisWorld() && holder.started === startOf(process.pid)
  );
}

/** `unknown`: it lives in another container, if it lives; its number means nothing here. */
export function lifeOf(holder: Holder): "alive" | "dead" | "unknown" {
  const [namespace, boot] = holder.world.split(" ");
  const [ownNamespace, ownBoot] = thisWorld().split(" ");
  if (boot !== ownBoot) return "dead";
  if (namespace !== ownNamespace) return "unknown";
  if (holder.started !== "") return startOf(holder.pid) === holder.started ? "alive" : "dead";
  return answersSignals(holder.pid) ? "alive" : "dead";
}

/** undefined for what is no record: an empty file, or a half of one. */
export function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started, world, thread, since } = JSON.parse(text) as Partial<Holder>;
    if (typeof pid !== "number" || typeof started !== "string" || typeof world !== "string") return undefined;
    if (typeof thread !== "number" || typeof since !== "string") return undefined;
    return { pid, started, world, thread, since };
  } catch {
    return undefined;
  }
}

function thisWorld(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${readlinkSync("/proc/self/ns/pid")} ${boot}`;
  } catch {
    return "";
  }
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); the name before it may hold spaces and brackets. A zombie is dead. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}

function answersSignals(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
