/**
 * Calls and casts by name to processes of other nodes, over the cluster seam, and the answers to those of others.
 *
 * State: which of this thread's waiting calls went to which node.
 *
 * Always true: a call is settled once: by its answer, its deadline, its signal, or the news that the node is down. No
 * absolute time crosses nodes, for their clocks differ: what is sent is how long the caller still waits.
 */

import { fromErrorData, NanoError, toErrorData } from "../base/errors.ts";
import type { Cluster, ClusterAddress } from "../seams/cluster.ts";
import type { Outcome } from "./envelope.ts";
import type { Host } from "./host.ts";
import type { Target } from "./pid.ts";

export type ClusterMessage =
  | {
      readonly type: "call";
      readonly from: ClusterAddress;
      readonly ref: number;
      readonly name: string;
      readonly method: string;
      readonly message: unknown;
      /** How long the caller waits, ms; 0 is for ever. */
      readonly timeoutMs: number;
    }
  | { readonly type: "cast"; readonly name: string; readonly method: string; readonly message: unknown }
  | { readonly type: "reply"; readonly ref: number; readonly outcome: Outcome };

/** No thread of this node: a waiting call that another node answers ends with no thread. */
const elsewhere = -1;

export class ClusterCalls {
  readonly #host: Host;
  readonly #cluster: Cluster<ClusterMessage>;
  readonly #waiting = new Map<number, string>();

  constructor(host: Host, cluster: Cluster<ClusterMessage>) {
    this.#host = host;
    this.#cluster = cluster;
    cluster.onMessage((message) => this.#take(message));
    cluster.onDown((node) => this.#down(node));
  }

  /**
   * `timeoutMs`: Infinity waits for ever. A signal only ends the wait: the request may be on its way. Undefined: no
   * other node has this name.
   */
  call(
    target: Target,
    method: string,
    message: unknown,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> | undefined {
    const node = typeof target === "string" ? this.#cluster.nodeOf(target) : undefined;
    if (node === undefined) return undefined;
    const request = { name: target as string, method, message };
    const { clock, pending, thread, incarnation } = this.#host;
    const waitsMs = timeoutMs === Number.POSITIVE_INFINITY ? 0 : timeoutMs;
    return new Promise((resolve, reject) => {
      const deadlineMs = waitsMs === 0 ? 0 : clock.now() + waitsMs;
      const ref = pending.open({ resolve, reject, thread: elsewhere, incarnation: 0, method }, deadlineMs);
      this.#waiting.set(ref, node);
      const canceled = (): void =>
        void pending.fail(ref, new NanoError("canceled", `${method}: the caller gave up`));
      signal?.addEventListener("abort", canceled, { once: true });
      pending.onSettled(ref, () => {
        this.#waiting.delete(ref);
        signal?.removeEventListener("abort", canceled);
      });
      const from = { node: this.#host.node, thread, incarnation };
      try {
        this.#cluster.request(node, { type: "call", from, ref, ...request, timeoutMs: waitsMs });
      } catch (error) {
        pending.fail(ref, fromErrorData(toErrorData(error)));
      }
    });
  }

  /** False: no other node has this name. */
  cast(target: Target, method: string, message: unknown): boolean {
    const node = typeof target === "string" ? this.#cluster.nodeOf(target) : undefined;
    if (node === undefined) return false;
    this.#cluster.request(node, { type: "cast", name: target as string, method, message });
    return true;
  }

  #take(message: ClusterMessage): void {
    if (message.type === "call") this.#serve(message);
    else if (message.type === "cast") this.#host.cast(message.name, message.method, message.message);
    else this.#host.pending.settle(message.ref, message.outcome);
  }

  #serve({ from, ref, name, method, message, timeoutMs }: ClusterMessage & { type: "call" }): void {
    const deadlineMs = timeoutMs === 0 ? 0 : this.#host.clock.now() + timeoutMs;
    const answer = (outcome: Outcome): void => this.#cluster.answer(from, { type: "reply", ref, outcome });
    const asked = this.#host.ask(this.#host.client, name, { kind: "call", method, message, deadlineMs });
    asked.then(
      (value) => answer({ ok: true, value }),
      (error) => answer({ ok: false, error: toErrorData(error) }),
    );
  }

  #down(node: string): void {
    for (const [ref, asked] of [...this.#waiting]) {
      if (asked !== node) continue;
      this.#host.pending.fail(ref, new NanoError("crashed", `node ${node} is down or was cut off`));
    }
  }
}
