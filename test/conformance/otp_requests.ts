/** A server that has several requests under way at once, each under a label: OTP's collection of request ids. */

import { genServer, type Info, type Pid, type Piped, type Self } from "../../src/index.ts";
import { server } from "./otp_server.ts";

export interface Request {
  readonly label: string;
  readonly to: Pid;
  readonly delayMs: number;
  readonly timeoutMs?: number;
}

interface State {
  readonly self: Self;
  readonly answers: unknown[];
  readonly others: unknown[];
  open: number;
}

export const collector = genServer(import.meta.url, "collector", {
  init: (_options: undefined, self): State => ({ self, answers: [], others: [], open: 0 }),
  call: {
    /** What has come so far, in its order, and how many are still open. */
    collected: ({ answers, others, open }) => ({ answers: [...answers], others: [...others], open }),
    /** Asks, and answers only after that; takes nothing else meanwhile. */
    askAndWait: async ({ self, others }, to: Pid) =>
      `${await self.ref(server, to).call.later(100)} before ${others.length} others`,
  },
  cast: {
    request: (state, { label, to, delayMs, timeoutMs = 5_000 }: Request) => {
      state.open++;
      const { call } = state.self.ref(server, to);
      state.self.pipe(call.later(delayMs, { timeoutMs }), "answered", label);
    },
    answered: (state, { context: label, ...result }: Piped<string, string>) => {
      state.open--;
      state.answers.push([label, result.ok ? result.value : result.error.code]);
    },
  },
  info: (state, info: Info) => {
    state.others.push(info.type === "message" ? info.message : info.type);
  },
});
