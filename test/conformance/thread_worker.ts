/** A factory's worker that can take its whole thread down. */

import { genServer, type Self } from "../../src/index.ts";

interface State {
  readonly self: Self;
}

export const thread_worker = genServer(import.meta.url, "thread_worker", {
  init: (_options: undefined, self): State => ({ self }),
  call: {
    work: async (state, n: number): Promise<{ n: number; thread: number }> => {
      await state.self.sleep(n % 3);
      return { n, thread: state.self.pid.thread };
    },
    dieWithThread: (_state, _n: number): { n: number; thread: number } => process.exit(1),
  },
});
