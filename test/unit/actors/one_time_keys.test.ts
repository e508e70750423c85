/** One-time keys: nobody gets a key twice, and nobody gets another's. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeTaken,
  encodeFree,
  encodeTaken,
  isTaken,
  type OneTimeKey,
  oneTimeKeyAmends,
  takeRetentionMs,
} from "../../../actors/kinds/one_time_keys.ts";
import { rowKey } from "../../../actors/records.ts";
import type { AmendDecision, LiveRow } from "../../../actors/shard_messages.ts";

const rowKeyOf = (sub: string): string => rowKey("public_keys", "+49151", sub);

/** The rows of one key, under amends. */
class Rows {
  #rows = new Map<string, LiveRow>();

  get list(): LiveRow[] {
    return [...this.#rows.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  amend(operation: "take" | "upload", message: unknown, nowMs = 0): unknown {
    const decide = oneTimeKeyAmends[`one_time_keys.${operation}`];
    if (decide === undefined) throw new Error(`no amend named ${operation}`);
    const { writes, answer }: AmendDecision = decide(this.list, message, { nowMs, rowKeyOf });
    for (const { key, value, expiresAtMs } of writes) {
      if (value === null) this.#rows.delete(key);
      else this.#rows.set(key, { key, value, expiresAtMs });
    }
    return answer;
  }

  take(requestId: string, nowMs = 0): OneTimeKey | null {
    return this.amend("take", { requestId }, nowMs) as OneTimeKey | null;
  }

  upload(...ids: string[]): unknown {
    return this.amend("upload", { keys: ids.map((id) => ({ id, value: new TextEncoder().encode(id) })) });
  }
}

describe("one-time keys", () => {
  it("a request whose id begins with a byte order mark gets the same key again", () => {
    const rows = new Rows();
    rows.upload("a", "b");
    const first = rows.take("\ufeffr");
    expect(rows.take("\ufeffr")).toEqual(first);
    expect(rows.take("r")).not.toEqual(first);
  });

  it("a key is handed out once, in whatever order uploads, takes and retries come", () => {
    const id = fc.constantFrom("a", "b", "c", "d");
    const step = fc.oneof(
      fc.array(id, { maxLength: 4 }).map((ids) => ({ type: "upload" as const, ids })),
      fc.nat(5).map((request) => ({ type: "take" as const, request: `r${request}` })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: "max" }), (steps) => {
        const rows = new Rows();
        const holders = new Map<string, string>();
        const given = new Map<string, string>();
        for (const each of steps) {
          if (each.type === "upload") {
            const before = rows.list.length;
            expect(rows.upload(...each.ids)).toBe(rows.list.length - before);
            continue;
          }
          const key = rows.take(each.request);
          if (key === null) {
            expect(rows.list.every(({ value }) => isTaken(value))).toBe(true);
            continue;
          }
          expect(new TextDecoder().decode(key.value)).toBe(key.id);
          expect(holders.get(key.id) ?? each.request).toBe(each.request);
          expect(given.get(each.request) ?? key.id).toBe(key.id);
          holders.set(key.id, each.request);
          given.set(each.request, key.id);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("a repeated request gets its key for as long as it may retry, and is refused afterwards", () => {
    const rows = new Rows();
    rows.upload("a", "b");
    const first = rows.take("r1", 1_000);
    expect(rows.take("r1", 1_000 + takeRetentionMs)).toEqual(first);
    const refused = { code: "conflict", details: { requestId: "r1" } };
    expect(() => rows.take("r1", 1_001 + takeRetentionMs)).toThrow(expect.objectContaining(refused));
    expect(rows.take("r2", 1_001 + takeRetentionMs)?.id).toBe("b");
    expect(rows.take("r3")).toBeNull();
  });

  it("an upload never frees a taken key, and counts an id that it names twice once", () => {
    const rows = new Rows();
    rows.upload("a");
    rows.take("r1");
    expect(rows.upload("a", "b", "b")).toBe(1);
    expect(rows.list.map(({ value }) => isTaken(value))).toEqual([true, false]);
    const keys = ["first", "second"].map((text) => ({ id: "c", value: new TextEncoder().encode(text) }));
    rows.amend("upload", { keys });
    rows.take("r2");
    expect(new TextDecoder().decode(rows.take("r3")?.value)).toBe("first");
  });

  it("no key gets more rows than an amend reads: what it does not read it could hand out again", () => {
    const rows = new Rows();
    const ids = Array.from({ length: 10_000 }, (_, i) => `k${i}`);
    expect(rows.upload(...ids)).toBe(10_000);
    const refused = { code: "conflict", details: { reason: "too_many", have: 10_000 } };
    expect(() => rows.upload("one more")).toThrow(expect.objectContaining(refused));
    expect(rows.upload("k0", "k1")).toBe(0);
  });

  it("a taken row's bytes give back what they were made of", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 50 }),
        fc.maxSafeNat(),
        fc.uint8Array({ maxLength: 50 }),
        (requestId, atMs, value) => {
          const taken = { requestId, atMs, value };
          expect(decodeTaken(encodeTaken(taken))).toEqual(taken);
          expect([isTaken(encodeTaken(taken)), isTaken(encodeFree(value))]).toEqual([true, false]);
        },
      ),
    );
    expect(decodeTaken(encodeFree(Uint8Array.of(1)))).toBeUndefined();
  });
});
