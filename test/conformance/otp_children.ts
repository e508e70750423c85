/**
 * Actors for the conformance tests: a child that does what its test's script says, and a watcher that notes exits and
 * ends. The script is this module's: all threads of a simulated node share it.
 */

import {
  type ExitReason,
  genServer,
  type Info,
  ignore,
  NanoError,
  type Pid,
  type Self,
  stop,
} from "../../src/index.ts";

/** What children do, by id, and what they did. */
export const script = {
  failing: new Set<string>(),
  ignoring: new Set<string>(),
  /** Their `terminate` never settles. */
  stuck: new Set<string>(),
  /** How long their `terminate` takes, ms. */
  endsAfterMs: new Map<string, number>(),
  /** How long their `init` takes, ms. */
  startsAfterMs: new Map<string, number>(),
  /** Every try of a start, and every `terminate` that ran to its end, in order. */
  history: [] as string[],
  /** Whoever got through its `init`. */
  born: [] as Pid[],
};

export function resetScript(): void {
  for (const part of [
    script.failing,
    script.ignoring,
    script.stuck,
    script.endsAfterMs,
    script.startsAfterMs,
  ])
    part.clear();
  script.history.length = 0;
  script.born.length = 0;
}

interface ChildState {
  readonly self: Self;
  readonly options: ChildOptions;
}

export interface ChildOptions {
  readonly id: string;
  readonly extra?: unknown;
}

export const scripted = genServer(import.meta.url, "scripted", {
  init: async (options: ChildOptions, self) => {
    const { id } = options;
    script.history.push(`start ${id}`);
    const delayMs = script.startsAfterMs.get(id);
    if (delayMs !== undefined) await self.sleep(delayMs);
    if (script.failing.has(id)) throw new NanoError("unavailable", `${id} was told to fail`);
    if (script.ignoring.has(id)) return ignore;
    script.born.push(self.pid);
    return { self, options } satisfies ChildState;
  },
  call: {
    options: (state: ChildState) => state.options,
  },
  cast: {
    end: (_state: ChildState, how: "normal" | "shutdown" | "abnormal") => {
      if (how === "abnormal") throw new Error("told to crash");
      return stop(how);
    },
  },
  terminate: async (state: ChildState) => {
    const { id } = state.options;
    const delayMs = script.endsAfterMs.get(id);
    if (script.stuck.has(id)) await new Promise(() => undefined);
    if (delayMs !== undefined) await state.self.sleep(delayMs);
    script.history.push(`end ${id}`);
  },
});

interface WatcherState {
  readonly self: Self;
  readonly heard: Info[];
}

/** Notes all that it hears; with `traps`, also the ends of linked processes. */
export const watcher = genServer(import.meta.url, "watcher", {
  init: (options: { readonly traps: boolean }, self): WatcherState => {
    if (options.traps) self.trapExit();
    return { self, heard: [] };
  },
  call: {
    monitor: (state, pid: Pid) => state.self.monitor(pid),
    demonitor: (state, ref: number) => state.self.demonitor(ref),
    link: (state, pid: Pid) => state.self.link(pid),
    unlink: (state, pid: Pid) => state.self.unlink(pid),
    exit: (state, { pid, reason }: { pid: Pid; reason: ExitReason }) => state.self.exit(pid, reason),
    start: (state, { options, thread }: { options: ChildOptions; thread: number }) =>
      state.self.spawn(scripted, options, { link: true, thread }),
    startNamed: (state, { module, name, options }: { module: string; name: string; options: unknown }) =>
      state.self.spawnNamed({ module, name }, options, { link: true }),
    heard: (state) => [...state.heard],
  },
  info: (state, info: Info) => {
    state.heard.push(info);
  },
});
