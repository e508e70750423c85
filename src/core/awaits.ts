/**
 * Whether a handler awaits a call: whether its turn ends only after the call is answered. JavaScript does not say which
 * promise an asynchronous function stands at, but V8's asynchronous stack traces do: captured in a continuation, they
 * name the functions that wait for it, one awaiting the other.
 *
 * So a promise is put between the call and whoever awaits it, whose continuation captures such a trace; and an
 * asynchronous function with a name of its own awaits the end of the turn. If that name is in the trace, the turn waits
 * for the call. Where V8 can't tell (two await the same promise, traces are switched off) the answer is no.
 *
 * Costs nothing until it is asked. Source: V8's Isolate::CaptureAsyncStackTrace ("zero-cost async stack traces").
 */

import { coreLimits } from "./limits.ts";
import type { PendingCall } from "./pending_calls.ts";
import { formatPid } from "./pid.ts";
import type { Process } from "./process.ts";

/** Questions under way: a promise is put into a chain that is whole, not into one that another is being put into. */
const asked = new WeakMap<PendingCall, Promise<boolean>>();

/** `call` was made on this thread and is open. */
export function isAwaitedBy(process: Process, call: PendingCall): Promise<boolean> {
  let answer = asked.get(call);
  if (answer === undefined) {
    answer = ask(process, call).finally(() => asked.delete(call));
    asked.set(call, answer);
  }
  return answer;
}

function ask(process: Process, call: PendingCall): Promise<boolean> {
  const mark = markTurn(process);
  if (mark === undefined) return Promise.resolve(false);
  return new Promise((tell) => {
    call.relay(async (answer) => {
      // The call's own promise takes up with this one in a microtask; the second await comes after it.
      await nothing;
      await nothing;
      tell(waitingFunctions().includes(mark));
      return answer;
    });
  });
}

const nothing = Promise.resolve();

/** Turns that a function with a name awaits. */
const marked = new WeakSet<Promise<void>>();

/** The name of a function that awaits the end of the turn in hand; started once for each turn. */
function markTurn(process: Process): string | undefined {
  const { turn, handled, pid } = process;
  if (process.status !== "busy" || turn === undefined) return undefined;
  const mark = `turn ${handled} of ${formatPid(pid)}`;
  if (marked.has(turn)) return mark;
  marked.add(turn);
  const named = {
    [mark]: async (): Promise<void> => {
      await turn;
    },
  };
  void named[mark]?.();
  return mark;
}

/** Whatever waits for the function that asks; nothing, if there is a choice among them. */
function waitingFunctions(): (string | null)[] {
  const before = { ...Error };
  try {
    Error.stackTraceLimit = coreLimits.awaitsMax;
    Error.prepareStackTrace = (_error, sites) => sites;
    const sites = new Error().stack as unknown as NodeJS.CallSite[];
    // The first of several to be answered is enough: nobody waits for this one.
    if (sites.some((site) => site.getFunctionName() === "any" && site.getPromiseIndex() !== null)) return [];
    return sites.map((site) => site.getFunctionName());
  } catch {
    // Somebody has frozen Error.
    return [];
  } finally {
    restore(before);
  }
}

function restore({ stackTraceLimit, prepareStackTrace }: Partial<ErrorConstructor>): void {
  try {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  } catch {
    // It was never changed.
  }
}
