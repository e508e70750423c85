import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Codel } from "../../src/core/codel.ts";
import { Shedding } from "../../src/core/shedding.ts";
import { TenantShares } from "../../src/core/tenant_shares.ts";

/** When it drops, if each ms one is taken after the delay that `delayAt` says. */
function dropsOf(codel: Codel, untilMs: number, delayAt: (ms: number) => number): number[] {
  const drops: number[] = [];
  for (let ms = 0; ms <= untilMs; ms++) while (codel.drops(delayAt(ms), ms, false)) drops.push(ms);
  return drops;
}

describe("codel", () => {
  it("drops first after one interval above the target, then by interval / sqrt(count), as RFC 8289 says", () => {
    const law: number[] = [100];
    for (let count = 1, next = 100; ; count++) {
      next += 100 / Math.sqrt(count);
      if (next > 1_000) break;
      law.push(Math.ceil(next));
    }
    expect(dropsOf(new Codel(5, 100), 1_000, () => 6)).toEqual(law);
    expect(law.slice(0, 4)).toEqual([100, 200, 271, 329]);
  });

  it("drops nothing of a burst that falls below the target within the interval, however long it was", () => {
    expect(dropsOf(new Codel(5, 100), 1_000, (ms) => (ms % 100 === 99 ? 4.9 : 500))).toEqual([]);
  });

  it("stops at the first delay below the target, and waits a whole interval again", () => {
    const drops = dropsOf(new Codel(5, 100), 400, (ms) => (ms === 210 ? 4 : 6));
    expect(drops).toEqual([100, 200, 311]);
  });

  it("goes on at the pace that it had if the delay is soon above the target again", () => {
    const drops = dropsOf(new Codel(5, 100), 800, (ms) => (ms === 500 ? 0 : 6));
    const again = drops.filter((ms) => ms > 500);
    // Six drops before, five of them by the law: the next series begins with 100 / sqrt(5) between two.
    expect(drops.filter((ms) => ms <= 500)).toHaveLength(7);
    expect((again[1] ?? 0) - (again[0] ?? 0)).toBeLessThan(100 / Math.sqrt(5));
  });

  it("never drops the last one", () => {
    const codel = new Codel(5, 100);
    for (let ms = 0; ms < 1_000; ms++) expect(codel.drops(1_000, ms, true)).toBe(false);
  });
});

describe("shedding", () => {
  it("after a resize counts each job that waits in the line that it has now, and sheds the oldest there", () => {
    const shedding = new Shedding<{ readonly tenant: string; readonly atMs: number }>(
      { delayTargetMs: 5, delayIntervalMs: 100 },
      1,
    );
    const jobs = [40, 10, 30, 20].map((atMs) => ({ tenant: "", atMs }));
    for (const each of jobs) shedding.came(each, 0);
    shedding.resize(2, ({ atMs }) => (atMs <= 30 ? 1 : 0));
    expect([shedding.waiting(0), shedding.waiting(1)]).toEqual([1, 3]);
    expect(shedding.victim(1, 100, 200)).toBeUndefined();
    expect(shedding.victim(1, 100, 300)).toBe(jobs[1]);
  });
});

describe("tenant shares", () => {
  it("name the oldest job of a tenant that has most, after any course of jobs that come and leave", () => {
    const step = fc.record({ comes: fc.boolean(), tenant: fc.integer({ min: 0, max: 5 }), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const shares = new TenantShares<{ readonly tenant: string; readonly n: number }>();
        let model: { readonly tenant: string; readonly n: number }[] = [];
        for (const [n, { comes, tenant, pick }] of steps.entries()) {
          if (comes || model.length === 0) {
            const job = { tenant: `t${tenant}`, n };
            shares.add(job);
            model.push(job);
          } else {
            const job = model[pick % model.length];
            if (job === undefined) throw new Error("there is one");
            expect(shares.remove(job)).toBe(true);
            expect(shares.remove(job)).toBe(false);
            model = model.filter((each) => each !== job);
          }
          const of = (name: string) => model.filter((each) => each.tenant === name);
          const most = Math.max(0, ...model.map((each) => of(each.tenant).length));
          const found = shares.oldestOfLargest();
          expect(shares.size).toBe(model.length);
          if (most === 0) expect(found).toBeUndefined();
          else {
            expect(of(found?.tenant ?? "")).toHaveLength(most);
            expect(found).toBe(of(found?.tenant ?? "")[0]);
          }
        }
      }),
    );
  });
});
