/** The worker of the industry's tests: tells who ran a job, and can fail, hang or take its thread down. */

import { genServer, type IndustryAddress, industryRef, NanoError, type Self } from "../../src/index.ts";

export interface Ran {
  readonly n: number;
  readonly thread: number;
  readonly worker: number;
}

interface State {
  readonly self: Self;
}

export const industry_worker = genServer(import.meta.url, "industry_worker", {
  /** Refuses to start on thread `closes` while a process named `closed` lives. */
  init: ({ closes }: { readonly closes?: number }, self): State => {
    if (self.pid.thread === closes && self.whereis("closed") !== undefined)
      throw new NanoError("unavailable", "closed");
    return { self };
  },
  call: {
    /** Takes as many ms as n modulo 3 is. */
    work: async ({ self }, n: number): Promise<Ran> => {
      await self.sleep(n % 3);
      return { n, thread: self.pid.thread, worker: self.pid.id };
    },
    pause: ({ self }, ms: number): Promise<void> => self.sleep(ms),
    dieWithThread: (): void => process.exit(1),
  },
  cast: {
    note: async ({ self }, _n: number) => self.sleep(1),
  },
});

/** A process that sends jobs to an industry from its own thread. */
export const industry_sender = genServer(import.meta.url, "industry_sender", {
  init: (address: IndustryAddress, self) => ({ to: industryRef(self, industry_worker, address) }),
  call: {
    send: async ({ to }, keys: readonly string[]): Promise<Ran[]> =>
      Promise.all(
        keys.map((key, n) => {
          to.at(key).cast.note(n);
          return to.at(key).call.work(n);
        }),
      ),
  },
});
