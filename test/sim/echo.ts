/** Small actors for tests of the simulator itself. */

import { type From, genServer, noReply, type Self } from "../../src/index.ts";

interface CounterState {
  readonly self: Self;
  value: number;
}

/** Counts; can be asked to answer later, to tick by itself, and to crash. */
export const counter = genServer(import.meta.url, "counter", {
  init: (options: { readonly from: number }, self): CounterState => ({ self, value: options.from }),
  call: {
    add: (state, amount: number) => {
      state.value += amount;
      return state.value;
    },
    addLater: (state, { amount, delayMs }: { amount: number; delayMs: number }, from: From<number>) => {
      state.self.pipe(
        state.self.sleep(delayMs).then(() => amount),
        "added",
        from,
      );
      return noReply;
    },
    never: (_state, _message: undefined, _from: From<number>) => noReply,
    draw: (state) => state.self.random.next("counter.draw"),
    times: (state) => ({ now: state.self.clock.now(), monotonicMs: state.self.clock.monotonicMs() }),
    crash: (): number => {
      throw new Error("told to crash");
    },
  },
  cast: {
    added: (state, result: { readonly context: From<number>; readonly value: number }) => {
      state.value += result.value;
      state.self.reply(result.context, state.value);
    },
    tick: (state, everyMs: number) => {
      state.value++;
      state.self.castAfter(everyMs, "tick", everyMs);
    },
  },
});
