/** An actor that reaches past its seams for the real world, in every way there is. */

import { genServer, type Self } from "../../../src/index.ts";

const table = {
  "Date.now()": () => Date.now(),
  "new Date()": () => new Date(),
  "Date()": () => Date(),
  "Math.random()": () => Math.random(),
  "setTimeout()": () => setTimeout(() => undefined, 1),
  "setInterval()": () => setInterval(() => undefined, 1),
  "setImmediate()": () => setImmediate(() => undefined),
  "performance.now()": () => performance.now(),
  "crypto.randomUUID()": () => crypto.randomUUID(),
  "crypto.getRandomValues()": () => crypto.getRandomValues(new Uint8Array(1)),
  "process.hrtime()": () => process.hrtime(),
  "process.hrtime.bigint()": () => process.hrtime.bigint(),
  "AbortSignal.timeout()": () => AbortSignal.timeout(1),
  "fetch()": () => fetch("http://localhost:1").catch(() => undefined),
} as const;

export type Reach = keyof typeof table;

export const reaches: Readonly<Record<Reach, () => unknown>> = table;

/** Reaches for the real world, wherever it is told to. */
export const straying = genServer(import.meta.url, "straying", {
  init: (reach: Reach | undefined, self): { readonly self: Self } => {
    if (reach !== undefined) reaches[reach]();
    return { self };
  },
  call: {
    atOnce: (_state, reach: Reach) => void reaches[reach](),
    afterAnAwait: async ({ self }, reach: Reach) => {
      await self.sleep(1);
      await Promise.resolve();
      reaches[reach]();
    },
    caught: (_state, reach: Reach) => {
      try {
        reaches[reach]();
      } catch {
        // As if nothing had been.
      }
    },
  },
});
