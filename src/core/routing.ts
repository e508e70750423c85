/** Routings of a factory, as data. */

import { NanoError } from "../base/errors.ts";

export type Routing =
  | { readonly type: "consistent_hash" }
  | { readonly type: "queue" }
  | { readonly type: "sticky_queue" };

/** A key's jobs go to one worker, by its hash. Order per key; a slow key delays those that share its worker. */
export function consistentHash(): Routing {
  return { type: "consistent_hash" };
}

/** Any free worker, first come first served. No order per key. */
export function queue(): Routing {
  return { type: "queue" };
}

/**
 * Any free worker, but a key's jobs run one after the other, on the same worker as long as no other key has waited
 * longer. Order per key, and no idle worker beside a job that may run.
 */
export function stickyQueue(): Routing {
  return { type: "sticky_queue" };
}

/** Errors: `unsafe` when the workers need their keys in order and the routing does not keep it. */
export function checkRouting(routing: Routing, affinity: "key" | "none", worker: string): void {
  if (routing.type !== "queue" || affinity === "none") return;
  const cure = "sticky_queue or consistent_hash";
  const hazard = "needs the jobs of a key in order, and the routing queue gives them to any free worker";
  throw new NanoError("unsafe", `${worker} ${hazard}; use ${cure}`, { field: "routing", cure });
}
