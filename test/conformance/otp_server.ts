/** The servers of the gen_server conformance tests: one with every callback, one with next to none. */

import {
  type From,
  genServer,
  type Info,
  ignore,
  NanoError,
  noReply,
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
    crash: () => {
      throw new TypeError("boom");
    },
  },
  info: (state: State, info: Info) => {
    if (info.type === "message" && info.message === "stop") return stop({ shutdown: "by message" });
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
  formatStatus: () => {
    throw new Error("can't be shown");
  },
});
