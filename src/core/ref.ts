/** Typed ways to a process: an object with a function for each handler, made once for each target. */

import type { CallOptions, CallsOf, CastsOf, Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { Pid, Target } from "./pid.ts";

export function makeRef<D extends Definition>(
  host: Host,
  caller: Pid,
  definition: D,
  target: Target,
): Ref<D> {
  const call: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.call ?? {})) {
    call[method] = (message: unknown, options?: CallOptions) =>
      host.call(caller, target, method, message, options);
  }
  const cast: Record<string, unknown> = {};
  for (const method of Object.keys(definition.callbacks.cast ?? {})) {
    cast[method] = (message: unknown) => host.cast(target, method, message);
  }
  return { target, call: call as CallsOf<D>, cast: cast as CastsOf<D> };
}
