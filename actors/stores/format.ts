/** The formats of what stores and control keep, each by its number: another one is refused, never guessed. Pure. */

import { NanoError } from "../../src/index.ts";

/** Of a store's environment: its databases, and the encoding of rows. Its number is in `meta`. */
export const storeFormat = 1;

/** Of the control store: its databases, and the fields of records. Its number is in `counters`. */
export const controlFormat = 1;

/** `found`: undefined where nobody wrote one yet. Errors: `config` with both numbers and the cure. */
export function checkFormat(what: string, found: unknown, known: number): void {
  if (found === undefined || found === known) return;
  const text = `${what} has format ${String(found)}, this version reads ${known}; nothing was changed`;
  const cure = "start the version that wrote it, or a newer one";
  throw new NanoError("config", `${text}: ${cure}`, { field: "data", cure, found, known });
}
