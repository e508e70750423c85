/** What the threads of a system do now: for `System.status`, made by the platform, put into words here. Pure. */

import { formatPid, type Pid } from "./pid.ts";

/** A handler under way. */
export interface TurnStatus {
  readonly process: Pid;
  /** The process's registered name, or "". */
  readonly name: string;
  readonly definition: string;
  /** call, cast, info, cancel, init or terminate. */
  readonly kind: string;
  /** The handler's name, of a call or a cast. */
  readonly method: string;
}

/**
 * `starting`: not ready yet. `stuck`: its event loop has not turned, nor a new turn begun, for `stuckMs`. `restarting`:
 * it died, and its next life begins after a delay. `given_up`: it is not replaced any more.
 */
export type ThreadState = "starting" | "running" | "stuck" | "restarting" | "given_up" | "stopped";

export interface ThreadStatus {
  readonly thread: number;
  /** Its present life, or the last one. */
  readonly incarnation: number;
  readonly state: ThreadState;
  /** The handler that holds the thread now. */
  readonly turn?: TurnStatus;
  /** Wall-clock ms: `turn` began no earlier than this. */
  readonly sinceMs?: number;
  /** Asynchronous handlers that wait for something: at most 16. */
  readonly pending: readonly TurnStatus[];
  /** Turns that began in this life, modulo 2^32. */
  readonly turns: number;
  /** How the life before this one ended. */
  readonly lastEnd?: string;
  /** All of this in one sentence. */
  readonly words: string;
}

export interface SystemStatus {
  readonly threads: readonly ThreadStatus[];
}

/** `add of account <nano.1.1.5> "bank" (call)`. */
export function describeTurn({ process, name, definition, kind, method }: TurnStatus): string {
  const who = `${definition} ${formatPid(process)}${name === "" ? "" : ` "${name}"`}`;
  return method === "" ? `${kind} of ${who}` : `${method} of ${who} (${kind})`;
}

/** Adds the words. `nowMs` is wall-clock time. */
export function inWords(status: Omit<ThreadStatus, "words">, nowMs: number): ThreadStatus {
  const { thread, state, turn, sinceMs = nowMs, pending, lastEnd } = status;
  const parts = [`thread ${thread} is ${state.replace("_", " ")}`];
  if (turn !== undefined)
    parts.push(`in ${describeTurn(turn)} for at most ${Math.max(0, nowMs - sinceMs)} ms`);
  if (pending.length > 0) parts.push(`pending: ${pending.map(describeTurn).join(", ")}`);
  if (lastEnd !== undefined) parts.push(`its last life ended: ${lastEnd}`);
  return { ...status, words: parts.join("; ") };
}
