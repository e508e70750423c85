/**
 * Calls and casts by name to processes of other nodes, over the cluster seam, and the answers to those of others.
 *
 * State: this thread's waiting calls and where they went; which calls of others are being answered here.
 *
 * Always true: a call is settled once: by its answer, its deadline, its signal, or the news that nobody works on it:
 * the node is down or silent, or knows nothing of the call because the request or its answer was lost. So a call may
 * wait for hours, and a lost message is noticed within seconds. No absolute time crosses nodes, for their clocks
 * differ: what is sent is how long the caller still waits.
 */

import { fromErrorData, NanoError, toErrorData } from "../base/errors.ts";
import type { Cluster, ClusterAddress } from "../seams/cluster.ts";
import type { Outcome } from "./envelope.ts";
import type { Host } from "./host.ts";
import { coreLimits } from "./limits.ts";
import type { CallOrigin } from "./pending_calls.ts";
import type { Pid, Target } from "./pid.ts";

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
  /** Is anybody still working on these calls of mine? */
  | { readonly type: "ping"; readonly from: ClusterAddress; readonly refs: readonly number[] }
  | { readonly type: "pong"; readonly node: string; readonly unknown: readonly number[] }
  | { readonly type: "reply"; readonly ref: number; readonly outcome: Outcome };

interface WaitingCall {
  readonly node: string;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

function callId({ node, thread, incarnation }: ClusterAddress, ref: number): string {
  return `${node}.${thread}.${incarnation}.${ref}`;
}

/** No thread of this node: a waiting call that another node answers ends with no thread. */
const elsewhere: Pid = { node: "", thread: -1, incarnation: 0, id: 0 };

export class ClusterCalls {
  readonly #host: Host;
  readonly #cluster: Cluster<ClusterMessage>;
  readonly #waiting = new Map<number, WaitingCall>();
  /** Calls of others, by who asks and reference. */
  readonly #serving = new Set<string>();
  /** When something was heard of a node last, monotonic ms. */
  readonly #heardMs = new Map<string, number>();
  /** Its timer runs. */
  #looks = false;

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
    { signal, origin }: { readonly signal: AbortSignal | undefined; readonly origin: CallOrigin | undefined },
  ): Promise<unknown> | undefined {
    const node = typeof target === "string" ? this.#cluster.nodeOf(target) : undefined;
    if (node === undefined) return undefined;
    const request = { name: target as string, method, message };
    const { clock, pending, thread, incarnation } = this.#host;
    const nowMs = clock.monotonicMs();
    const opened = pending.open(elsewhere, method, nowMs + timeoutMs);
    opened.origin = origin;
    const { ref } = opened;
    this.#waiting.set(ref, { node, sinceMs: nowMs });
    this.#lookLater();
    const canceled = (): void =>
      void pending.fail(ref, new NanoError("canceled", `${method}: the caller gave up`));
    signal?.addEventListener("abort", canceled, { once: true });
    pending.onSettled(ref, () => {
      this.#waiting.delete(ref);
      signal?.removeEventListener("abort", canceled);
    });
    const from = { node: this.#host.node, thread, incarnation };
    const waitsMs = timeoutMs === Number.POSITIVE_INFINITY ? 0 : timeoutMs;
    try {
      this.#cluster.request(node, { type: "call", from, ref, ...request, timeoutMs: waitsMs });
    } catch (error) {
      pending.fail(ref, fromErrorData(toErrorData(error)));
    }
    return opened.answer;
  }

  /** False: no other node has this name. */
  cast(target: Target, method: string, message: unknown): boolean {
    const node = typeof target === "string" ? this.#cluster.nodeOf(target) : undefined;
    if (node === undefined) return false;
    this.#cluster.request(node, { type: "cast", name: target as string, method, message });
    return true;
  }

  #take(message: ClusterMessage): void {
    switch (message.type) {
      case "call":
        this.#serve(message);
        break;
      case "cast":
        this.#host.cast(message.name, message.method, message.message);
        break;
      case "ping": {
        const unknown = message.refs.filter((ref) => !this.#serving.has(callId(message.from, ref)));
        this.#cluster.answer(message.from, { type: "pong", node: this.#host.node, unknown });
        break;
      }
      case "pong":
        this.#heard(message.node);
        for (const ref of message.unknown) this.#lost(ref, "the request or its answer was lost");
        break;
      case "reply":
        this.#heard(this.#waiting.get(message.ref)?.node);
        this.#host.pending.settle(message.ref, message.outcome);
    }
  }

  #serve({ from, ref, name, method, message, timeoutMs }: ClusterMessage & { type: "call" }): void {
    const deadlineMs = timeoutMs === 0 ? 0 : this.#host.clock.now() + timeoutMs;
    const id = callId(from, ref);
    this.#serving.add(id);
    const answer = (outcome: Outcome): void => {
      this.#serving.delete(id);
      this.#cluster.answer(from, { type: "reply", ref, outcome });
    };
    const asked = this.#host.ask(this.#host.client, name, { kind: "call", method, message, deadlineMs });
    asked.answer.then(
      (value) => answer({ ok: true, value }),
      (error) => answer({ ok: false, error: toErrorData(error) }),
    );
  }

  #down(node: string): void {
    for (const [ref, asked] of [...this.#waiting])
      if (asked.node === node) this.#lost(ref, `node ${node} is down or was cut off`);
  }

  #lost(ref: number, why: string): void {
    this.#host.pending.fail(ref, new NanoError("crashed", why));
  }

  #heard(node: string | undefined): void {
    if (node !== undefined) this.#heardMs.set(node, this.#host.clock.monotonicMs());
  }

  #lookLater(): void {
    if (this.#looks) return;
    this.#looks = true;
    this.#host.clock.setTimer(coreLimits.clusterPingMs, () => {
      this.#looks = false;
      this.#look();
      if (this.#waiting.size > 0) this.#lookLater();
    });
  }

  /** Asks after calls that take long; gives up those to a node that does not even answer this. */
  #look(): void {
    const { clock, node: own, thread, incarnation } = this.#host;
    const nowMs = clock.monotonicMs();
    const long = new Map<string, number[]>();
    for (const [ref, { node, sinceMs }] of [...this.#waiting]) {
      if (nowMs - sinceMs < coreLimits.clusterPingMs) continue;
      const silentMs = nowMs - Math.max(sinceMs, this.#heardMs.get(node) ?? 0);
      if (silentMs > coreLimits.clusterSilentMs) this.#lost(ref, `node ${node} is silent for ${silentMs} ms`);
      else if (long.get(node)?.push(ref) === undefined) long.set(node, [ref]);
    }
    const from = { node: own, thread, incarnation };
    for (const [node, refs] of long) this.#cluster.request(node, { type: "ping", from, refs });
  }
}
