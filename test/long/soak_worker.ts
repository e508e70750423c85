/**
 * The worker of the soak, on threads that die. What it does is noted in memory that all threads share and none takes
 * along: how often each job was begun, and the latest job of each key, to see one that overtakes another.
 */

import { genServer, type Self } from "../../src/index.ts";

export interface SoakJob {
  /** Of all jobs, counted from 0. */
  readonly id: number;
  readonly key: number;
  /** How long it takes, ms. */
  readonly ms: number;
  /** Something to carry. */
  readonly load: string;
}

/** Plain data: handed to each thread's set-up. */
export interface SoakMemory {
  /** By job: how often it was begun. */
  readonly begun: SharedArrayBuffer;
  /** By factory and key: the latest job that was begun, plus 1. */
  readonly latest: SharedArrayBuffer;
  /** Jobs that were begun after a later one of their key. */
  readonly overtaken: SharedArrayBuffer;
}

export interface SoakArgs {
  /** Number of the factory, among those whose routing keeps a key's order; undefined: it does not. */
  readonly ordered: number | undefined;
  readonly keys: number;
}

/** A thread's set-up: see `startSystem`. */
export function soakResources(memory: SoakMemory) {
  return { soak: memory };
}

interface State {
  readonly self: Self;
  readonly args: SoakArgs;
  readonly begun: Int32Array;
  readonly latest: Int32Array;
  readonly overtaken: Int32Array;
}

export const soak_worker = genServer(import.meta.url, "soak_worker", {
  init: (args: SoakArgs, self): State => {
    const { begun, latest, overtaken } = self.resource<SoakMemory>("soak");
    return {
      self,
      args,
      begun: new Int32Array(begun),
      latest: new Int32Array(latest),
      overtaken: new Int32Array(overtaken),
    };
  },
  call: {
    work: (state, job: SoakJob): number | Promise<number> => {
      begin(state, job);
      return job.ms === 0 ? job.id : state.self.sleep(job.ms).then(() => job.id);
    },
    crash: (state, job: SoakJob): number => {
      begin(state, job);
      throw new Error("told to crash");
    },
    /** The thread is gone at once. */
    exitThread: (state, job: SoakJob): number => {
      begin(state, job);
      process.exit(3);
    },
    /** The thread is gone by an error that nobody catches, soon. */
    failThread: (state, job: SoakJob): number => {
      begin(state, job);
      setImmediate(() => {
        throw new Error("nobody catches this");
      });
      return job.id;
    },
  },
});

function begin({ args, begun, latest, overtaken }: State, { id, key }: SoakJob): void {
  Atomics.add(begun, id, 1);
  if (args.ordered === undefined) return;
  const place = args.ordered * args.keys + key;
  if (Atomics.exchange(latest, place, id + 1) > id + 1) Atomics.add(overtaken, 0, 1);
}
