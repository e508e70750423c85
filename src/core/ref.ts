/** Typed ways to a process: an object with a function for each handler, made once for each target. */

import { NanoError } from "../base/errors.ts";
import type { CallOptions, CallsOf, CastsOf, Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { Pid, Target } from "./pid.ts";

/** `ended`: whether the caller is a process that has ended; nothing is sent for it then. */
export function makeRef<D extends Definition>(
  host: Host,
  caller: Pid,
  definition: D,
  target: Target,
  ended: () => boolean = () => false,
): Ref<D> {
  const call: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.call ?? {})) {
    call[method] = (message: unknown, options?: CallOptions) =>
      ended()
        ? Promise.reject(new NanoError("canceled", `${method}: its caller has ended`))
        : host.call(caller, target, method, message, options);
  }
  const cast: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.cast ?? {})) {
    cast[method] = (message: unknown) => {
      if (!ended()) host.cast(target, method, message);
    };
  }
  return { target, call: call as CallsOf<D>, cast: cast as CastsOf<D> };
}
