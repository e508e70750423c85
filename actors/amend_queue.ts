/**
 * Amends of one shard, one at a time for each key, and what else was admitted for that key meanwhile. Pure.
 *
 * An amend reads the key's rows with nothing pending and is decided only if nothing was admitted since its read.
 */

import { assert, type From, RingBuffer } from "../src/index.ts";
import type { RowKey } from "./records.ts";
import type { AmendRequest } from "./shard_messages.ts";

export type AmendJob =
  | {
      readonly type: "request";
      readonly base: RowKey;
      readonly request: AmendRequest;
      readonly from: From<unknown>;
    }
  | { readonly type: "renew"; readonly base: RowKey; readonly key: RowKey };

interface Lane {
  readonly waiting: RingBuffer<AmendJob>;
  /** Its rows are being read. */
  reading: AmendJob | undefined;
  /** Something was admitted for the key since that read began. */
  moved: boolean;
}

export class AmendQueue {
  /** Admitted rows of each key that are not settled. */
  readonly #pending = new Map<RowKey, number>();
  readonly #lanes = new Map<RowKey, Lane>();

  push(job: AmendJob): void {
    let lane = this.#lanes.get(job.base);
    if (lane === undefined) {
      lane = { waiting: new RingBuffer(), reading: undefined, moved: false };
      this.#lanes.set(job.base, lane);
    }
    lane.waiting.push(job);
  }

  admitted(base: RowKey): void {
    this.#pending.set(base, (this.#pending.get(base) ?? 0) + 1);
    const lane = this.#lanes.get(base);
    if (lane !== undefined) lane.moved = true;
  }

  settled(base: RowKey): void {
    const pending = this.#pending.get(base) ?? 0;
    assert(pending > 0, "what settles was admitted");
    if (pending === 1) this.#pending.delete(base);
    else this.#pending.set(base, pending - 1);
  }

  /** The job whose rows are to be read now; undefined if none waits, one is read, or something is pending. */
  begin(base: RowKey): AmendJob | undefined {
    const lane = this.#lanes.get(base);
    if (lane === undefined || lane.reading !== undefined || this.#pending.has(base)) return undefined;
    const job = lane.waiting.shift();
    if (job === undefined) {
      this.#lanes.delete(base);
      return undefined;
    }
    lane.reading = job;
    lane.moved = false;
    return job;
  }

  /** True if the read is stale: the job goes back to the front. */
  movedSince(job: AmendJob): boolean {
    const lane = this.#lanes.get(job.base);
    assert(lane !== undefined && lane.reading === job, "the job is the one being read");
    if (!lane.moved) return false;
    const later = lane.waiting.clear();
    lane.waiting.push(job);
    for (const other of later) lane.waiting.push(other);
    lane.reading = undefined;
    return true;
  }

  finish(job: AmendJob): void {
    const lane = this.#lanes.get(job.base);
    assert(lane !== undefined && lane.reading === job, "the job is the one being read");
    lane.reading = undefined;
  }
}
