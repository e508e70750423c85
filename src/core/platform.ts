/** What a host runs on: the threads, as a system knows of them. */

import type { ThreadStatus } from "./thread_status.ts";

export interface Platform {
  /** Ends the threads. */
  close(): Promise<void>;
  /** What the platform sees of its threads. */
  readonly status?: () => readonly ThreadStatus[];
  /** See `System.addThread`. Default: there are no worker threads, or their number is fixed. */
  readonly addThread?: () => Promise<number>;
  readonly retireThread?: (thread: number) => Promise<void>;
}
