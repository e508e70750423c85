/** Typed ways to a process: an object with a function for each handler, made once for each target. */

import { NanoError } from "../base/errors.ts";
import type { CallOptions, CallsOf, CastsOf, Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { Pid, Target } from "./pid.ts";
import type { Process } from "./process.ts";

/** `asker`: the process that calls, if one does; nothing is sent for it after its end. */
export function makeRef<D extends Definition>(
  host: Host,
  caller: Pid,
  definition: D,
  target: Target,
  asker?: Process,
): Ref<D> {
  const call: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.call ?? {})) {
    call[method] = (message: unknown, options?: CallOptions) =>
      asker?.status === "ended"
        ? Promise.reject(new NanoError("canceled", `${method}: its caller has ended`))
        : host.call(caller, target, method, message, options, asker);
  }
  const cast: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.cast ?? {})) {
    cast[method] = (message: unknown) => {
      if (asker?.status !== "ended") host.cast(target, method, message);
    };
  }
  return { target, call: call as CallsOf<D>, cast: cast as CastsOf<D> };
}
