/** Workers of the tests of what users asked for; their notes are this module's, which a simulated node shares. */

import { existsSync, writeFileSync } from "node:fs";
import { genServer, NanoError, type Pid, postpone, type Ref, type Self } from "../../src/index.ts";

export interface Step {
  readonly key: string;
  readonly n: number;
  /** How often it is handed back before it is done. */
  readonly postponed: number;
  readonly crashes: boolean;
  readonly ms: number;
}

/** Steps in the order in which they were begun, not those that were handed back. */
export const begun: Step[] = [];

const tries = new Map<string, number>();

export function forgetSteps(): void {
  begun.length = 0;
  tries.clear();
}

/** Hands jobs back, crashes or does them, as they say. */
export const moody_worker = genServer(import.meta.url, "moody_worker", {
  init: (_options: undefined, self): { readonly self: Self } => ({ self }),
  call: {
    step: async ({ self }, step: Step): Promise<number> => {
      const name = `${step.key} ${step.n}`;
      const tried = tries.get(name) ?? 0;
      tries.set(name, tried + 1);
      if (tried < step.postponed)
        throw postpone(self, { group: step.key, afterMs: 5 }, new NanoError("unavailable", "not yet"));
      begun.push(step);
      await self.sleep(step.ms);
      if (step.crashes) throw new Error("told to crash");
      return step.n;
    },
  },
});

/** Tells the trace of what it was sent, and of what it sent on. */
export const tracer = genServer(import.meta.url, "tracer", {
  init: (_options: undefined, self): { readonly self: Self } => ({ self }),
  call: {
    trace: async ({ self }, to: readonly Pid[]): Promise<readonly string[]> => {
      const [next, ...others] = to;
      if (next === undefined) return [self.trace];
      const behind = await self.ref(tracer, next).call.trace(others, { trace: self.trace });
      return [self.trace, ...behind];
    },
  },
});

/** Synchronous work on a real thread, as long as it takes for a file of another thread to be there. */
export const meeting = genServer(import.meta.url, "meeting", {
  init: (_options: undefined, self): { readonly self: Self } => ({ self }),
  call: {
    /** False: the other one did not come while this one was there. */
    meet: (
      _state,
      { mine, theirs, patienceMs }: { mine: string; theirs: string; patienceMs: number },
    ): boolean => {
      writeFileSync(mine, "here");
      return waitForFile(theirs, patienceMs);
    },
    /** Asks another process, and leaves a file when it has answered. */
    relay: async ({ self }, { to, file }: { to: Pid; file: string }): Promise<number> => {
      const other: Ref<typeof meeting> = self.ref(meeting, to);
      const thread = await other.call.thread();
      writeFileSync(file, String(thread));
      return thread;
    },
    thread: ({ self }) => self.pid.thread,
    /** Keeps so many bytes on this thread's heap. */
    hoard: (_state, count: number): number => {
      for (let n = 0; n < count; n++) hoarded.push({ n, text: `${n}`.repeat(10) });
      return hoarded.length;
    },
  },
});

const hoarded: unknown[] = [];

/** Holds its thread. */
export function waitForFile(file: string, patienceMs: number): boolean {
  const untilMs = performance.now() + patienceMs;
  while (performance.now() < untilMs) if (existsSync(file)) return true;
  return false;
}
