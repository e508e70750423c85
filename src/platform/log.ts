/**
 * Logs: pino, one JSON line for each record, on standard error; silent in tests unless a level is asked
 * for.
 */

import { type DestinationStream, destination, pino, stdTimeFunctions } from "pino";
import type { Logger } from "../seams/log.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

export interface LogOptions {
  /** Default: `info`; `silent` under vitest and when NODE_ENV is `test`. */
  readonly level?: LogLevel;
  /** Stand in every record, e.g. the thread's number. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Takes each line (with its line end) instead of standard error. */
  readonly write?: (line: string) => void;
}

/** Makes a log. A process's own is `log.child({ pid, name })`. */
export function createLog(options: LogOptions = {}): Logger {
  const { write } = options;
  // Synchronous: the last words of a thread that dies are the ones that matter.
  const stream: DestinationStream = write === undefined ? destination({ dest: 2, sync: true }) : { write };
  return pino(
    {
      level: options.level ?? defaultLevel(),
      base: options.fields ?? {},
      timestamp: stdTimeFunctions.isoTime,
    },
    stream,
  );
}

/** The level of a log that was not told one. */
export function defaultLevel(): LogLevel {
  return process.env.VITEST !== undefined || process.env.NODE_ENV === "test" ? "silent" : "info";
}
