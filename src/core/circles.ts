/** Circles in a graph of processes and the calls that they wait for. Pure. */

import { formatPid, type Pid } from "./pid.ts";

/** A process has a call open. */
export interface Wait {
  readonly pid: Pid;
  /** Its registered name, or its definition's. */
  readonly name: string;
  readonly method: string;
  readonly ref: number;
  /** Wall-clock ms: all threads of a system have one clock. */
  readonly askedMs: number;
  readonly callee: Pid;
  /** Its handler goes on only with the answer; taken for granted until it is proven. */
  readonly isAwaited: boolean;
  /** The call waits in its callee's mailbox; false: it is in its hand. */
  readonly isQueued: boolean;
}

interface Closing {
  readonly closing: Wait;
  /** From the closing call round to who made it. */
  readonly chain: readonly Wait[];
}

/** The awaited calls that lie on a circle with `pid`. */
export function waitsInCircle(waits: readonly Wait[], pid: Pid): Wait[] {
  const awaited = waits.filter(({ isAwaited }) => isAwaited);
  const ahead = reached(pid, awaited, "callee");
  const behind = reached(pid, awaited, "pid");
  const isIn = (each: Pid): boolean => ahead.has(formatPid(each)) && behind.has(formatPid(each));
  return awaited.filter((wait) => isIn(wait.pid) && isIn(wait.callee));
}

/**
 * The call that came last of those on a circle with `pid`, and a shortest circle through it. One that was taken came
 * before its callee began to wait, so it is none of those in hand.
 */
export function closingCall(waits: readonly Wait[], pid: Pid): Closing | undefined {
  const inCircle = waitsInCircle(waits, pid);
  const newest = (a: Wait, b: Wait): number =>
    b.askedMs - a.askedMs || b.pid.thread - a.pid.thread || b.ref - a.ref;
  const [closing] = inCircle.filter(({ isQueued }) => isQueued).sort(newest);
  return closing === undefined ? undefined : { closing, chain: [closing, ...wayBack(inCircle, closing)] };
}

/** All that one gets to from `from` along the calls: to their callees, or against them to their callers. */
function reached(from: Pid, waits: readonly Wait[], end: "callee" | "pid"): Set<string> {
  const start = end === "callee" ? "pid" : "callee";
  const found = new Set<string>();
  const todo = [formatPid(from)];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    for (const wait of waits) {
      const next = formatPid(wait[end]);
      if (formatPid(wait[start]) !== at || found.has(next)) continue;
      found.add(next);
      todo.push(next);
    }
  }
  return found;
}

/** A shortest way along calls from the callee of `closing` to its caller. */
function wayBack(waits: readonly Wait[], closing: Wait): Wait[] {
  const goal = formatPid(closing.pid);
  const ways = new Map<string, readonly Wait[]>([[formatPid(closing.callee), []]]);
  // In the order in which they are found: shorter ways first.
  for (const [at, way] of ways) {
    if (at === goal) return [...way];
    for (const wait of waits) {
      const next = formatPid(wait.callee);
      if (formatPid(wait.pid) === at && !ways.has(next)) ways.set(next, [...way, wait]);
    }
  }
  return [];
}
