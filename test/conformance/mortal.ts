/** A process that can take its thread down in every way that there is, and one that waits for it on another thread. */

import {
  type From,
  genServer,
  NanoError,
  noReply,
  type Pid,
  type Self,
  toErrorData,
} from "../../src/index.ts";

interface State {
  readonly self: Self;
  readonly held: From<number>[];
}

/** How a thread ends. */
export type Deed = "exit" | "timer" | "rejection" | "heap" | "spin" | "spinAfterAwait";

export const mortal = genServer(import.meta.url, "mortal", {
  init: (_options: undefined, self): State => ({ self, held: [] }),
  call: {
    who: (state): Pid => state.self.pid,
    /** Is never answered. */
    hold: (state, _n: number, from: From<number>) => {
      state.held.push(from);
      return noReply;
    },
    held: (state): number => state.held.length,
    spinFor: (_state, ms: number) => {
      for (const endMs = performance.now() + ms; performance.now() < endMs; );
    },
    /** Holds its thread until somebody opens the gate of mesh_host.ts's set-up. */
    spinUntilFreed: (state) => {
      const gate = new Int32Array(state.self.resource<SharedArrayBuffer>("trail"));
      while (Atomics.load(gate, 1) === 0);
    },
  },
  cast: {
    do: (state, deed: Deed) => deeds[deed](state),
  },
});

const deeds: Readonly<Record<Deed, (state: State) => undefined | Promise<undefined>>> = {
  exit: () => process.exit(7),
  timer: () => {
    setImmediate(() => {
      throw new Error("thrown in a timer");
    });
    return undefined;
  },
  rejection: () => {
    void Promise.reject(new Error("nobody handles this"));
    return undefined;
  },
  /** By small objects: filled by arrays, Node 24 at times ended the process with the thread (nodejs/node#47224). */
  heap: () => {
    let hoard: unknown;
    for (;;) hoard = { older: hoard };
  },
  spin: () => spinForEver(),
  spinAfterAwait: async (state) => {
    await state.self.sleep(1);
    return spinForEver();
  },
};

function spinForEver(): undefined {
  for (let turn = 0; ; turn++) if (turn < 0) return undefined;
}

/** Calls `hold` of the mortal from its own thread, and tells how that ended. */
export const mourner = genServer(import.meta.url, "mourner", {
  init: (options: { readonly target: Pid }, self) => ({ self, target: options.target }),
  call: {
    wait: async ({ self, target }): Promise<{ code: string; reason: unknown }> => {
      try {
        await self.ref(mortal, target).call.hold(0, { timeoutMs: Number.POSITIVE_INFINITY });
      } catch (error) {
        if (error instanceof NanoError) return { code: error.code, reason: error.details.reason };
        throw error;
      }
      return { code: toErrorData(undefined).code, reason: "answered" };
    },
  },
});
