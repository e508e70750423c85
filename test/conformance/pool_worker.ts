/**
 * The worker of the factory's conformance tests. What its workers do is noted in this module, which all threads of a
 * simulated node share.
 */

import { type From, genServer, NanoError, noReply, type Pid, type Self } from "../../src/index.ts";

export interface Job {
  readonly key: string;
  readonly n: number;
  /** How long it takes, ms. */
  readonly ms: number;
}

export interface Noted extends Job {
  readonly worker: Pid;
  readonly what: "begins" | "ends";
}

export const pool = {
  history: [] as Noted[],
  /** Starts of workers, tries included. */
  starts: 0,
  /** The next so many starts fail; the next so many workers crash right after their start. */
  failingStarts: 0,
  crashingStarts: 0,
};

export function resetPool(): void {
  pool.history.length = 0;
  pool.starts = 0;
  pool.failingStarts = 0;
  pool.crashingStarts = 0;
}

interface State {
  readonly self: Self;
}

async function work({ self }: State, job: Job): Promise<number> {
  pool.history.push({ ...job, worker: self.pid, what: "begins" });
  if (job.ms > 0) await self.sleep(job.ms);
  pool.history.push({ ...job, worker: self.pid, what: "ends" });
  return job.n;
}

export const pool_worker = genServer(import.meta.url, "pool_worker", {
  init: (_options: undefined, self): State => {
    pool.starts++;
    if (pool.failingStarts > 0) {
      pool.failingStarts--;
      throw new NanoError("unavailable", "told not to start");
    }
    if (pool.crashingStarts > 0) {
      pool.crashingStarts--;
      self.continueWith("crashNow");
    }
    return { self };
  },
  call: {
    work: (state, job: Job) => work(state, job),
    crash: async (state, job: Job): Promise<number> => {
      await work(state, job);
      throw new Error("told to crash");
    },
    refuse: (_state, job: Job): number => {
      throw new NanoError("conflict", `${job.n} was told to be refused`);
    },
    hang: (_state, _job: Job, _from: From<number>) => noReply,
  },
  cast: {
    note: async (state, job: Job) => {
      await work(state, job);
    },
    crashNow: () => {
      throw new Error("told to crash after the start");
    },
  },
});
