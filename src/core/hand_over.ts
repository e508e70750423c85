/**
 * How a process of one version of a module makes way for one of the next, elsewhere: its `handOver` makes plain data of
 * its state, the other's `codeChange` makes a state of it. Source of the idea: OTP's code_change.
 *
 * Always true: whoever handed over takes no message until it is resumed, so nothing changes what it gave; and it still
 * has its state, so it can go on if the next version can't.
 */

import { NanoError } from "../base/errors.ts";
import type { Definition, OptionsOf } from "./gen_server.ts";
import type { Process } from "./process.ts";
import type { Self } from "./self.ts";

/** No handler of a user's has such a name. */
export const handOverMethod = "nanoactor.handOver";

/** What a process of another version handed over. */
export interface Former<Saved = unknown> {
  readonly saved: Saved;
  /** Its definition's `version`, or "". */
  readonly version: string;
}

/** What `codeChange` is told beside the state. */
export interface CodeChange<Options> {
  readonly options: Options;
  /** The version of who handed over, or "". */
  readonly from: string;
}

/** In a turn of the process: behind what was in its mailbox. */
export function handOver(process: Process): Former {
  const { handOver: save, version = "" } = process.definition.callbacks;
  const saved = save === undefined ? process.state : save(process.state);
  process.suspend();
  return { saved, version };
}

/**
 * What makes the first state of a process: `codeChange` of what another version handed over, or `init`. Errors:
 * `undef`: there is no `codeChange`; what they throw.
 */
export function firstState<D extends Definition>(
  { name, callbacks }: D,
  options: OptionsOf<D>,
  self: Self,
  former: Former | undefined,
): unknown {
  if (former === undefined) return callbacks.init(options, self);
  if (callbacks.codeChange === undefined)
    throw new NanoError("undef", `${name} has no codeChange: it can't take over from another version`);
  return callbacks.codeChange(former.saved, self, { options, from: former.version });
}
