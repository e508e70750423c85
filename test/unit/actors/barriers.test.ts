/** Barriers over admitted rows beside a naive account of them. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Barriers } from "../../../actors/barriers.ts";

describe("barriers", () => {
  it("are passed exactly when all that began before them has ended, whatever began later", () => {
    const step = fc.oneof(
      fc.constant({ type: "begin" as const }),
      fc.constant({ type: "raise" as const }),
      fc.nat(20).map((index) => ({ type: "end" as const, index })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const barriers = new Barriers();
        const open: { readonly id: number; readonly epoch: number }[] = [];
        const raised: { readonly waitsFor: ReadonlySet<number>; passed: number }[] = [];
        let id = 0;
        for (const each of steps) {
          if (each.type === "begin") open.push({ id: id++, epoch: barriers.begin() });
          else if (each.type === "end") {
            const [ended] = open.splice(each.index % Math.max(1, open.length), 1);
            if (ended !== undefined) barriers.end(ended.epoch);
          } else {
            const barrier = { waitsFor: new Set(open.map((row) => row.id)), passed: 0 };
            raised.push(barrier);
            barriers.raise(() => barrier.passed++);
          }
          for (const { waitsFor, passed } of raised) {
            expect(passed).toBe(open.some((row) => waitsFor.has(row.id)) ? 0 : 1);
          }
        }
      }),
    );
  });

  it("with nothing in flight are passed at once", () => {
    let passed = 0;
    new Barriers().raise(() => passed++);
    expect(passed).toBe(1);
  });

  it("may be raised by one that is passed", () => {
    const barriers = new Barriers();
    const order: string[] = [];
    const early = barriers.begin();
    barriers.raise(() => {
      order.push("first");
      barriers.raise(() => order.push("second"));
    });
    const late = barriers.begin();
    barriers.end(early);
    expect(order).toEqual(["first"]);
    barriers.end(late);
    expect(order).toEqual(["first", "second"]);
  });

  it("a row that ends twice is a programmer's error", () => {
    const barriers = new Barriers();
    const epoch = barriers.begin();
    barriers.end(epoch);
    expect(() => barriers.end(epoch)).toThrow("a row ends once");
  });
});
