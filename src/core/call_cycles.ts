/**
 * Finds circles of calls: processes that wait, each in its handler, for one another, on any threads. The one whose
 * call came last gets `call_cycle` with the whole chain; nothing was done for that call.
 *
 * A process in a handler may go on as soon as any of its open calls is answered: which of them it awaits is not known
 * at first. So a walk begins at a process that has waited for a while and is itself waited for, goes from host to host
 * along all open calls of everybody it meets, and ends at the first who can go on by himself. If there is nobody, it
 * is walked once more, and now each handler has to be proven to await one of its calls (awaits.ts). Who is blocked
 * stays so until a call of its is answered, and each call was seen unanswered after its caller was, so what was seen
 * one after the other holds together at the end. Model: communication deadlocks of Chandy, Misra and Haas (1983).
 *
 * Always true: no request that was taken gets `call_cycle`; a call that is answered in time pays nothing for this.
 */

import type { TimerHandle } from "../seams/clock.ts";
import { isAwaitedBy } from "./awaits.ts";
import { closingCall, type Wait, waitsInCircle } from "./circles.ts";
import type { From } from "./envelope.ts";
import type { Host } from "./host.ts";
import { coreLimits } from "./limits.ts";
import type { CallOrigin, PendingCall } from "./pending_calls.ts";
import { formatPid, type Pid, samePid } from "./pid.ts";
import type { Process } from "./process.ts";

/** A walk under way. */
interface Walk {
  /** Who is asked about. */
  readonly first: Pid;
  /** All were blocked when they were looked at. */
  readonly seen: readonly Pid[];
  /** Calls whose callees were looked at. */
  readonly waits: readonly Wait[];
  /** Calls whose callees were not; the callee of the first is next. */
  readonly todo: readonly Wait[];
  readonly isProof: boolean;
}

interface Verdict {
  readonly callee: Pid;
  readonly from: From;
  readonly method: string;
  readonly chain: readonly ChainLink[];
}

/** In `details.chain` of `call_cycle`: `name` waits for `method` of the next; the last one for the first. */
interface ChainLink {
  readonly name: string;
  readonly pid: string;
  readonly method: string;
}

interface Watched {
  /** Monotonic ms. */
  dueMs: number;
  delayMs: number;
}

/** What hosts tell each other about circles. */
export type CycleMessage = "callWalk" | "callProof" | "callCycle";

export class CallCycles {
  readonly #host: Host;
  /** Calls of processes that wait in a handler, by reference. */
  #watched = new Map<number, Watched>();
  #timer: TimerHandle | undefined;
  /** The last that made a call in the first part of its handler. */
  #asked: Process | undefined;
  /** The timer is due within `cycleProbeMs`. */
  #isSoon = false;

  constructor(host: Host) {
    this.#host = host;
  }

  /** A process makes a call: in the first part of its handler, or after an await. */
  asks(call: PendingCall, origin: CallOrigin): void {
    call.origin = origin;
    const { process } = origin;
    if (process.status === "busy") this.#watch();
    else this.#asked = process;
  }

  /** A process waits in a handler, perhaps for a call that it made in this turn. */
  waits(process: Process): void {
    if (this.#asked === process) this.#watch();
  }

  #watch(): void {
    if (!this.#isSoon) this.#arm(coreLimits.cycleProbeMs);
  }

  take(method: CycleMessage, message: unknown): void {
    switch (method) {
      case "callWalk":
        this.#walk(message as Walk);
        break;
      case "callProof": {
        const process = this.#host.process((message as Pid).id);
        if (process !== undefined) this.#begin(process, true);
        break;
      }
      case "callCycle":
        this.#answer(message as Verdict);
    }
  }

  close(): void {
    if (this.#timer !== undefined) this.#host.clock.clearTimer(this.#timer);
    this.#isSoon = true;
  }

  #arm(delayMs: number): void {
    const { clock } = this.#host;
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#isSoon = delayMs <= coreLimits.cycleProbeMs;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#isSoon = false;
      this.#look();
    });
  }

  /** Asks about what has waited long enough; the longer it waits, the more seldom. */
  #look(): void {
    const { cycleProbeMs, cycleProbeMaxMs, cycleProbesMax } = coreLimits;
    const nowMs = this.#host.clock.monotonicMs();
    const watched = new Map<number, Watched>();
    const asked = new Set<Process>();
    let nextMs = Number.POSITIVE_INFINITY;
    this.#asked = undefined;
    for (const { ref, origin } of this.#host.pending.of(isOfWaiting)) {
      const each = this.#watched.get(ref) ?? { dueMs: nowMs + cycleProbeMs, delayMs: cycleProbeMs };
      watched.set(ref, each);
      if (origin !== undefined && each.dueMs <= nowMs && asked.size < cycleProbesMax) {
        // Who is not waited for is in no circle.
        if (origin.process.isWaitedFor) asked.add(origin.process);
        each.delayMs *= 2;
        each.dueMs = each.delayMs > cycleProbeMaxMs ? Number.POSITIVE_INFINITY : nowMs + each.delayMs;
      }
      nextMs = Math.min(nextMs, each.dueMs);
    }
    this.#watched = watched;
    for (const process of asked) this.#begin(process, false);
    if (nextMs !== Number.POSITIVE_INFINITY && !this.#isSoon)
      this.#arm(nextMs > nowMs ? nextMs - nowMs : cycleProbeMs);
  }

  #begin(process: Process, isProof: boolean): void {
    const none = { first: process.pid, seen: [], waits: [], todo: [], isProof };
    this.#addBlocked(process, none);
  }

  /** The callee of the next call lives here. */
  #walk({ todo: [next, ...todo], ...walk }: Walk): void {
    const process = next === undefined ? undefined : this.#host.process(next.callee.id);
    const place = next === undefined ? undefined : process?.placeOf(fromOf(next));
    if (next === undefined || process?.status !== "busy" || place === undefined) return;
    const waits = [...walk.waits, { ...next, isQueued: place === "queued" }];
    const onward = { ...walk, waits, todo };
    if (walk.seen.some((pid) => samePid(pid, process.pid))) this.#goOn(onward);
    else this.#addBlocked(process, onward);
  }

  /** Goes on if `process` is blocked: by its calls and, where that is asked for, by what it awaits. */
  #addBlocked(process: Process, walk: Walk): void {
    const calls = callsOfBlocked(this.#host, process);
    const seen = [...walk.seen, process.pid];
    if (calls.length === 0 || walk.waits.length + walk.todo.length + calls.length > coreLimits.cycleCallsMax)
      return;
    const add = (awaited: readonly boolean[]): void => {
      const waits = calls.map((call, place) => waitOf(process, call, awaited[place] === true));
      this.#goOn({ ...walk, seen, todo: [...walk.todo, ...waits] });
    };
    if (!walk.isProof) {
      add(calls.map(() => true));
      return;
    }
    // What was answered meanwhile is missed where its callee lives.
    void Promise.all(calls.map((call) => isAwaitedBy(process, call))).then((awaited) => {
      if (awaited.includes(true)) add(awaited);
    });
  }

  #goOn(walk: Walk): void {
    const [next] = walk.todo;
    if (next !== undefined) this.#tell(next.callee, "callWalk", walk);
    else if (!walk.isProof) this.#suspect(walk);
    else this.#judge(walk);
  }

  /** Nobody can go on, unless one waits for something else than its calls. */
  #suspect({ first, waits }: Walk): void {
    if (waitsInCircle(waits, first).length > 0) this.#tell(first, "callProof", first);
  }

  /** Whoever of the circle looks finds the same call to be the last. */
  #judge({ first, waits }: Walk): void {
    const found = closingCall(waits, first);
    if (found === undefined) return;
    const { callee, method } = found.closing;
    const chain = found.chain.map((wait) => ({
      name: wait.name,
      pid: formatPid(wait.pid),
      method: wait.method,
    }));
    this.#tell(callee, "callCycle", { callee, from: fromOf(found.closing), method, chain } satisfies Verdict);
  }

  /** The request is taken out of its callee's mailbox; if it was taken meanwhile, there is no circle any more. */
  #answer({ callee, from, method, chain }: Verdict): void {
    const process = this.#host.process(callee.id);
    if (process?.status !== "busy" || !process.withdraw(from)) return;
    const names = [...chain.map(({ name }) => name), chain[0]?.name].join(" -> ");
    const message = `${method}: it would wait for itself: ${names}`;
    this.#host.reply(from, { ok: false, error: { code: "call_cycle", message, details: { chain } } });
  }

  #tell(whose: Pid, method: CycleMessage, message: unknown): void {
    this.#host.post("system", { ...whose, id: 0 }, method, message, undefined);
  }
}

function isOfWaiting({ origin }: PendingCall): boolean {
  return origin?.process.status === "busy";
}

/** The open calls of a process in a handler; none if it may go on without an answer. */
function callsOfBlocked({ pending }: Host, process: Process): PendingCall[] {
  if (process.status !== "busy" || process.sleeping > 0) return [];
  return pending.of(({ origin }) => origin?.process === process);
}

function waitOf({ pid, name, definition }: Process, call: PendingCall, isAwaited: boolean): Wait {
  const { ref, method, callee, origin } = call;
  const askedMs = origin?.atMs ?? 0;
  return { pid, name: name || definition.name, method, ref, callee, askedMs, isAwaited, isQueued: false };
}

function fromOf({ pid, ref }: Wait): From {
  return { pid, ref, deadlineMs: 0 };
}
