/**
 * What a store amounts to, in the plainest words, and random operations on both: each must answer as the model does.
 * Keys, versions, values and terms come from small sets, so that sequences meet.
 */

import fc from "fast-check";
import { expect } from "vitest";
import { type Row, type RowKey, rowKey, splitRowKey, type Version } from "../../actors/records.ts";
import type { ApplyGroup, ApplyResult } from "../../actors/store_messages.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { bytes, indexedBackend, type StorePlace } from "./store_rows.ts";

class StoreModel {
  readonly rows = new Map<RowKey, Row>();
  readonly fences = new Map<string, number>();

  apply({ grants, rows }: ApplyGroup): ApplyResult[] {
    for (const { scope, term } of grants) {
      const inForce = this.fences.get(scope) ?? 0;
      if (term < inForce) return rows.map(() => ({ status: "fenced", scope, term: inForce }));
    }
    return rows.map((row) => {
      const stored = this.rows.get(row.key);
      if (stored === undefined || ordinal(row.version) > ordinal(stored.version)) {
        this.rows.set(row.key, row);
        return { status: "applied" };
      }
      return JSON.stringify(row) === JSON.stringify(stored)
        ? { status: "same" }
        : { status: "stale", current: stored.version };
    });
  }

  collect(key: RowKey, version: Version): boolean {
    const stored = this.rows.get(key);
    if (stored?.value !== null || ordinal(stored.version) !== ordinal(version)) return false;
    return this.rows.delete(key);
  }

  scan(from: RowKey, to: RowKey, limit: number): Row[] {
    const inRange = [...this.rows.values()].filter(
      ({ key }) => byBytes(key, from) >= 0 && (to === "" || byBytes(key, to) < 0),
    );
    return inRange.sort((x, y) => byBytes(x.key, y.key)).slice(0, limit);
  }

  lookup(sub: string): string[] {
    return this.scan("", "", 1_000)
      .filter(({ key, value }) => {
        const parts = splitRowKey(key);
        return parts.backend === indexedBackend && parts.sub === sub && value !== null;
      })
      .map(({ key }) => splitRowKey(key).key);
  }
}

/** Parts of versions are below 10 here. */
function ordinal([cohortTerm, shardTerm, n]: Version): number {
  return cohortTerm * 100 + shardTerm * 10 + n;
}

function byBytes(x: string, y: string): number {
  return Buffer.compare(bytes(x), bytes(y));
}

const key: fc.Arbitrary<RowKey> = fc
  .tuple(
    fc.constantFrom(indexedBackend, "things"),
    fc.constantFrom("k", "k\uff5e", "k\u{1f511}"),
    fc.constantFrom("m", "n"),
  )
  .map((parts) => rowKey(...parts));
const version: fc.Arbitrary<Version> = fc.tuple(fc.nat(1), fc.nat(1), fc.nat(3));
const row: fc.Arbitrary<Row> = fc.record({
  key,
  version,
  value: fc.constantFrom(null, bytes(""), bytes("x"), bytes("y")),
  expiresAtMs: fc.constantFrom(0, 0, 7),
});
const scope = fc.constantFrom("A/1", "groups/+49");
const term = fc.nat(4);
const group: fc.Arbitrary<ApplyGroup> = fc.record({
  grants: fc.array(fc.record({ scope, term }), { maxLength: 2 }),
  rows: fc.array(row, { maxLength: 6 }),
});

type Operation =
  | { readonly type: "apply"; readonly groups: readonly ApplyGroup[] }
  | { readonly type: "fence"; readonly scope: string; readonly term: number }
  | { readonly type: "collect"; readonly key: RowKey; readonly version: Version }
  | { readonly type: "scan"; readonly from: RowKey; readonly to: RowKey; readonly limit: number }
  | { readonly type: "lookup"; readonly sub: string }
  | { readonly type: "reopen" };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant("apply"), groups: fc.array(group, { maxLength: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("fence"), scope, term }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("collect"), key, version }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("scan"),
      from: fc.oneof(fc.constant(""), key),
      to: fc.oneof(fc.constant(""), key),
      limit: fc.nat(8),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("lookup"), sub: fc.constantFrom("m", "n") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reopen") }) },
) as fc.Arbitrary<Operation>;

/** Throws on the shortest sequence of operations that a store of `newPlace` answers otherwise than the model. */
export async function answersAsTheModel(newPlace: () => StorePlace, runs: number): Promise<void> {
  const property = fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
    const place = newPlace();
    const model = new StoreModel();
    let store = await place.open();
    for (const each of operations) {
      if (each.type === "reopen") {
        await store.close();
        store = await place.open();
      } else {
        await compare(store, model, each);
      }
      expect(await store.scan({ from: "", to: "" }, 100)).toEqual(model.scan("", "", 100));
      expect(await store.fences(["A/1", "groups/+49"])).toEqual([
        model.fences.get("A/1") ?? 0,
        model.fences.get("groups/+49") ?? 0,
      ]);
    }
    await store.close();
  });
  await fc.assert(property, { numRuns: runs, seed: 20_190_301 });
}

async function compare(
  store: Store,
  model: StoreModel,
  operation: Exclude<Operation, { type: "reopen" }>,
): Promise<void> {
  switch (operation.type) {
    case "apply":
      expect(await store.apply(operation.groups)).toEqual(operation.groups.map((each) => model.apply(each)));
      return;
    case "fence": {
      const inForce = Math.max(model.fences.get(operation.scope) ?? 0, operation.term);
      model.fences.set(operation.scope, inForce);
      expect(await store.fence(operation.scope, operation.term)).toBe(inForce);
      return;
    }
    case "collect":
      expect(await store.collect(operation.key, operation.version)).toBe(
        model.collect(operation.key, operation.version),
      );
      return;
    case "scan": {
      const { from, to, limit } = operation;
      expect(await store.scan({ from, to }, limit)).toEqual(model.scan(from, to, limit));
      return;
    }
    case "lookup":
      expect(await store.lookup(indexedBackend, operation.sub, 100)).toEqual(model.lookup(operation.sub));
  }
}
