/** The servers of the gen_server conformance tests: one with every callback, one with next to none. */

import {
  type From,
  genServer,
  type Info,
  ignore,
  NanoError,
  noReply,
  type Pid,
  type Self,
  stop,
  stopWith,
} from "../../src/index.ts";

/** How `init` ends. */
export interface ServerOptions {
  readonly start?: "ignore" | "refuse" | "never" | "continue" | "idle";
}

interface State {
  readonly self: Self;
  readonly heard: unknown[];
  readonly secret: string;
  readonly deferred: From<string>[];
}

/** What `terminate` was told, over all servers; `resetTerminated` empties it. */
export const terminated: unknown[] = [];

export const server = genServer(import.meta.url, "server", {
  init: async (options: ServerOptions, self) => {
    const state: State = { self, heard: [], secret: "the password", deferred: [] };
    switch (options.start) {
      case "ignore":
        return ignore;
      case "refuse":
        throw new NanoError("unavailable", "not today", { until: "tomorrow" });
      case "never":
        await new Promise(() => undefined);
        break;
      case "continue":
        self.continueWith("note", "continued from init");
        break;
      case "idle":
        self.idleAfter(100, "note", "idle after init");
        break;
      case undefined:
        break;
    }
    return state;
  },
  call: {
    heard: (state: State) => [...state.heard],
    echo: (_state: State, value: unknown) => value,
    later: (state: State, delayMs: number, from: From<string>) => {
      state.self.castAfter(delayMs, "answer", from);
      return noReply;
    },
    takes: async (state: State, delayMs: number) => {
      await state.self.sleep(delayMs);
      return "taken";
    },
    never: (state: State, _: undefined, from: From<string>) => {
      state.deferred.push(from);
      return noReply;
    },
    /** The callers that are owed an answer, as plain data. */
    owed: (state: State) => state.deferred.map((from) => JSON.stringify(from)),
    answerFor: (state: State, { from, value }: { from: string; value: string }) => {
      state.self.reply(JSON.parse(from) as From<string>, value);
    },
    answersTwice: (state: State, _: undefined, from: From<string>) => {
      state.self.reply(from, "first");
      state.self.reply(from, "second");
      return noReply;
    },
    stopsAfterReply: () => stopWith("bye", { shutdown: "asked" }),
    stopsWithout: (_state: State, how: "normal" | "shutdown" | "crash") =>
      how === "crash" ? stop({ crash: { code: "broken", message: "stopped as broken" } }) : stop(how),
    crash: (): string => {
      throw new TypeError("boom");
    },
    continues: (state: State, notes: readonly string[]) => {
      for (const note of notes) state.self.continueWith("note", note);
    },
    continuesInto: (state: State, method: string) => state.self.continueWith(method),
    /** Replaces its own state in mid-turn, through what it finds as a resource. */
    replacesItself: (state: State, change: readonly unknown[]) => {
      state.self.resource<(pid: Pid, change: unknown) => void>("replaceState")(state.self.pid, change);
      state.heard.push("in the same turn");
    },
    idles: (state: State, delayMs: number) => state.self.idleAfter(delayMs, "note", `idle ${delayMs}`),
  },
  cast: {
    note: (state: State, value: unknown) => {
      state.heard.push(value);
    },
    chain: (state: State, left: number) => {
      state.heard.push(left);
      if (left > 0) state.self.continueWith("chain", left - 1);
    },
    idlesAgain: (state: State, delayMs: number) => {
      state.heard.push("again");
      state.self.idleAfter(delayMs, "idlesAgain", delayMs);
    },
    answer: (state: State, from: From<string>) => state.self.reply(from, "delayed"),
    busy: async (state: State, delayMs: number) => {
      await state.self.sleep(delayMs);
    },
    stop: (_state: State, how: "normal" | "shutdown") => stop(how),
    stopInNextTurn: (state: State) => state.self.continueWith("stop", "shutdown"),
    idleInNextTurn: (state: State, delayMs: number) => state.self.continueWith("idlesAgain", delayMs),
    crash: () => {
      throw new TypeError("boom");
    },
  },
  info: (state: State, info: Info) => {
    if (info.type === "message" && info.message === "stop") return stop({ shutdown: "by message" });
    if (info.type === "message" && info.message === "continue") {
      state.self.continueWith("note", "continued from info");
      return undefined;
    }
    if (info.type === "message" && info.message === "crash") throw new TypeError("boom by message");
    state.heard.push(info.type === "message" ? info.message : info);
    return undefined;
  },
  canceled: (state: State, from: From) => {
    state.heard.push({ canceled: from.ref });
  },
  terminate: (_state: State, reason) => {
    terminated.push(reason);
  },
  formatStatus: (state: State) => ({ heard: state.heard, secret: "redacted" }),
  replaceState: (state: State, heard: readonly unknown[]) => {
    if (!Array.isArray(heard)) throw new TypeError("that is no history");
    return { ...state, heard: [...heard, ...state.heard] };
  },
});

/** No info, no terminate, no formatStatus, no cast. */
export const bare = genServer(import.meta.url, "bare", {
  init: (options: { readonly formatThrows?: boolean }, self) => ({ ...options, self }),
  call: { ping: () => "pong", stops: () => stopWith("bye", { shutdown: "asked" }) },
});

/** Its formatStatus is broken. */
export const unshowable = genServer(import.meta.url, "unshowable", {
  init: (_options: undefined) => ({}),
  cast: {
    crash: () => {
      throw new TypeError("boom");
    },
  },
  info: () => {
    const nothing: { readonly missing?: () => void } = {};
    (nothing.missing as () => void)();
  },
  formatStatus: () => {
    throw new Error("can't be shown");
  },
});

/** Its terminate is broken. */
export const badly_ending = genServer(import.meta.url, "badly_ending", {
  init: ({ how }: { readonly how: "undef" | "at once" | "later" }, self) => ({
    self,
    how,
    secret: "the password",
  }),
  terminate: ({ self, how }): void | Promise<void> => {
    if (how === "later") return self.sleep(10).then(() => Promise.reject(new Error("can't end")));
    if (how === "at once") throw new Error("can't end");
    const nothing: { readonly missing?: () => void } = {};
    return (nothing.missing as () => void)();
  },
  formatStatus: ({ how }) => ({ how, secret: "redacted" }),
});
