/** The log of a simulated world: prints nothing, keeps the newest records for whoever asks. */

import type { Logger } from "../seams/log.ts";
import { simulationLimits } from "./limits.ts";

export type RecordedLevel = "debug" | "info" | "warn" | "error";

export interface LogRecord {
  /** Virtual ms since the simulation began. */
  readonly atMs: number;
  readonly level: RecordedLevel;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export class RecordingLog {
  readonly records: LogRecord[] = [];
  onRecord: ((record: LogRecord) => void) | undefined;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A logger whose records all carry these fields. */
  logger(fields: object): Logger {
    const keep = (level: RecordedLevel) => (own: object, message: string) => {
      const record = { atMs: this.#now(), level, fields: { ...fields, ...own }, message };
      this.records.push(record);
      this.onRecord?.(record);
      if (this.records.length > simulationLimits.logRecordsMax) this.records.shift();
    };
    return {
      debug: keep("debug"),
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
      child: (more) => this.logger({ ...fields, ...more }),
    };
  }
}
