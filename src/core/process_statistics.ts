/** How a process is, and what became of its messages, as `System.statistics` shows it. */

import type { Pid } from "./pid.ts";

export type ProcessStatus = "starting" | "ready" | "busy" | "suspended" | "terminating" | "ended";

export interface ProcessStatistics {
  readonly pid: Pid;
  readonly name: string;
  readonly definition: string;
  readonly status: ProcessStatus;
  readonly waiting: number;
  readonly handled: number;
  readonly refused: number;
  /** Dropped from a full mailbox whose policy is `discard`. */
  readonly discarded: number;
  readonly expired: number;
}
