/** The ledger beside a naive one, under random operations; and its promises one by one. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { covers, Ledger, type Outcome, type Sender, type Taken } from "../../../actors/ledger.ts";
import {
  type DirtyRange,
  type MarkOwner,
  type RowKey,
  rowKey,
  type Version,
} from "../../../actors/records.ts";
import { NaiveLedger } from "./naive_ledger.ts";

const names = ["a", "bb", "ccc", "dddd"];
const keys = names.map((name) => rowKey("things", name));
const cohorts = ["things/+1", "things/+49"] as const;
const cohortOf = (key: RowKey) => cohorts[key.length % 2] ?? cohorts[0];

/** Both ledgers, what senders hold, and the checks after each step. */
class Pair {
  readonly real = new Ledger(Number.POSITIVE_INFINITY);
  readonly naive = new NaiveLedger();
  readonly #taken: { readonly sender: "queuer" | "replay"; readonly taken: Taken }[] = [];
  readonly #unmarked: { readonly sender: "crawler" | "compare"; readonly key: RowKey }[] = [];
  #n = 0;

  version(): Version {
    return [1, 1, ++this.#n];
  }

  hold(sender: "queuer" | "replay", taken: readonly Taken[]): void {
    this.#taken.push(...taken.map((each) => ({ sender, taken: each })));
  }

  holdUnmarked(sender: "crawler" | "compare", held: readonly RowKey[]): void {
    this.#unmarked.push(...held.map((key) => ({ sender, key })));
  }

  release(index: number, outcome: Outcome): void {
    const [held] = this.#taken.splice(index % Math.max(1, this.#taken.length), 1);
    if (held === undefined) return;
    const { taken } = held;
    expect(this.real.release([{ taken, outcome }])).toEqual(this.naive.release(taken, outcome));
  }

  releaseUnmarked(index: number): void {
    const [held] = this.#unmarked.splice(index % Math.max(1, this.#unmarked.length), 1);
    if (held === undefined) return;
    expect(this.real.releaseUnmarked([held.key])).toEqual(this.naive.releaseUnmarked(held.key));
  }

  disown(sender: Sender): void {
    this.real.disown(sender);
    this.naive.disown(sender);
    for (const list of [this.#taken, this.#unmarked] as { sender: Sender }[][]) {
      list.splice(0, list.length, ...list.filter((held) => held.sender !== sender));
    }
  }

  check(): void {
    const { real, naive } = this;
    expect([...real.marks()]).toEqual(naive.marks.map((mark) => ({ ...mark, sinceMs: 0 })));
    expect([real.size, real.lanes, real.readySize]).toEqual([
      naive.marks.length,
      naive.lanes.length,
      naive.ready.length,
    ]);
    expect(real.bytes).toBe(naive.marks.reduce((sum, { key }) => sum + bytesOf(key), 0));
    expect(real.counts()).toEqual(naive.counts());
    for (const cohort of cohorts) expect(real.counts([cohort])).toEqual(naive.counts([cohort]));
    expect(new Set(naive.lanes.map(({ key }) => key)).size).toBe(naive.lanes.length);
    for (const key of keys) {
      const mark = naive.mark(key);
      expect([...real.marks(new Set([key]))]).toEqual(mark === undefined ? [] : [{ ...mark, sinceMs: 0 }]);
      expect([real.owner(key), real.version(key)]).toEqual([mark?.owner, mark?.version]);
      const stands = mark === undefined ? "none" : mark.owner === "perror" ? "perror" : "mark";
      expect(real.account(key)).toBe(stands);
    }
  }
}

function bytesOf(key: RowKey): number {
  const ledger = new Ledger(Number.POSITIVE_INFINITY);
  ledger.suspect(key, cohorts[0], [1, 1, 1], "replay", 0);
  return ledger.bytes;
}

type Step = (pair: Pair) => void;

/** Of no mark. */
const never: Version = [0, 0, 0];

const key = fc.constantFrom(...keys);
const someKeys = fc.subarray(keys);
const owner = fc.constantFrom<MarkOwner>("queuer", "replay", "perror");
const outcome = fc.constantFrom<Outcome>("confirmed", "again", "parked");
const crawler = fc.constantFrom<"crawler" | "compare">("crawler", "compare");
const sender = fc.constantFrom<Sender>("queuer", "replay", "crawler", "compare");

const steps: readonly fc.WeightedArbitrary<Step>[] = [
  {
    weight: 5,
    arbitrary: key.map(
      (of): Step =>
        (pair) => {
          const version = pair.version();
          pair.real.admit(of, cohortOf(of), version, 0);
          pair.naive.admit(of, cohortOf(of), version);
        },
    ),
  },
  {
    weight: 5,
    arbitrary: key.map(
      (of): Step =>
        ({ real, naive }) => {
          expect(real.settle(of)).toBe(naive.settle(of));
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(key, owner).map(
      ([of, by]): Step =>
        (pair) => {
          const version = pair.version();
          pair.real.suspect(of, cohortOf(of), version, by, 0);
          pair.naive.suspect(of, cohortOf(of), version, by);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: key.map(
      (of): Step =>
        (pair) => {
          const version = pair.version();
          pair.real.touch(of, cohortOf(of), version, 0);
          pair.naive.touch(of, cohortOf(of), version);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: key.map(
      (of): Step =>
        (pair) => {
          const version = pair.version();
          pair.real.renew(of, version);
          pair.naive.renew(of, version);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(key, fc.boolean()).map(
      ([of, isLatest]): Step =>
        ({ real, naive }) => {
          const version = isLatest ? (naive.mark(of)?.version ?? never) : never;
          real.quarantine(of, version);
          naive.quarantine(of, version);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constant((pair: Pair): void => {
      const given: Version[] = [];
      pair.real.begin(() => {
        given.push(pair.version());
        return given.at(-1) ?? never;
      });
      pair.naive.begin(() => given.shift() ?? never);
    }),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(key, owner).map(
      ([of, by]): Step =>
        ({ real, naive }) => {
          real.own(of, by);
          naive.own(of, by);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: someKeys.map(
      (of): Step =>
        (pair) => {
          const result = pair.real.take("queuer", of);
          expect(result).toEqual(pair.naive.take(of));
          pair.hold("queuer", result.taken);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.nat(3).map(
      (limit): Step =>
        (pair) => {
          const taken = pair.real.takeReady(limit);
          expect(taken).toEqual(pair.naive.takeReady(limit));
          pair.hold("replay", taken);
        },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(crawler, someKeys).map(
      ([by, of]): Step =>
        (pair) => {
          const taken = pair.real.takeUnmarked(by, of);
          expect(taken).toEqual(pair.naive.takeUnmarked(by, of));
          pair.holdUnmarked(by, taken);
        },
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(fc.nat(9), outcome).map(
      ([index, as]): Step =>
        (pair) =>
          pair.release(index, as),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.nat(9).map(
      (index): Step =>
        (pair) =>
          pair.releaseUnmarked(index),
    ),
  },
  {
    weight: 2,
    arbitrary: key.map(
      (of): Step =>
        ({ real, naive }) => {
          real.unpark(of);
          naive.unpark(of);
        },
    ),
  },
  {
    weight: 1,
    arbitrary: sender.map(
      (of): Step =>
        (pair) =>
          pair.disown(of),
    ),
  },
  {
    weight: 1,
    arbitrary: key.map(
      (of): Step =>
        ({ real, naive }) => {
          expect(real.drop(of)).toBe(naive.drop(of));
        },
    ),
  },
];

describe("the ledger", () => {
  it("agrees with a naive one after every step of any sequence", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...steps), { maxLength: 60, size: "max" }), (sequence) => {
        const pair = new Pair();
        for (const step of sequence) {
          step(pair);
          pair.check();
        }
      }),
      { numRuns: 500 },
    );
  });

  const a = rowKey("things", "a");
  const first: Version = [1, 1, 1];
  const second: Version = [1, 1, 2];

  function queued(ledger: Ledger): Taken {
    ledger.admit(a, cohorts[0], first, 0);
    ledger.settle(a);
    const [taken] = ledger.take("queuer", [a]).taken;
    if (taken === undefined) throw new Error("the queuer has its key");
    return taken;
  }

  it("a key written while it is sent stays marked and is sent again", () => {
    const ledger = new Ledger(1_000);
    const taken = queued(ledger);
    ledger.admit(a, cohorts[0], second, 0);
    expect(ledger.take("queuer", [a])).toEqual({ taken: [], busy: [a] });
    ledger.settle(a);
    expect(ledger.release([{ taken, outcome: "confirmed" }])).toEqual({ again: [a], cleared: [] });
    expect(ledger.version(a)).toEqual(second);
  });

  it("a row read while a version was pending clears nothing", () => {
    const ledger = new Ledger(1_000);
    ledger.admit(a, cohorts[0], first, 0);
    const [taken] = ledger.take("queuer", [a]).taken;
    ledger.settle(a);
    expect(ledger.release(taken === undefined ? [] : [{ taken, outcome: "confirmed" }]).cleared).toEqual([]);
    expect(ledger.size).toBe(1);
  });

  it("a mark that was renewed is not cleared by a job of before", () => {
    const ledger = new Ledger(1_000);
    const taken = queued(ledger);
    ledger.renew(a, second);
    expect(ledger.release([{ taken, outcome: "confirmed" }]).cleared).toEqual([]);
  });

  it("a write does not end a backoff, nor does another sender's death; its own end does", () => {
    const ledger = new Ledger(1_000);
    ledger.suspect(a, cohorts[0], first, "replay", 0);
    const [taken] = ledger.takeReady(1);
    ledger.release(taken === undefined ? [] : [{ taken, outcome: "parked" }]);
    ledger.admit(a, cohorts[0], second, 0);
    ledger.settle(a);
    ledger.disown("queuer");
    ledger.disown("crawler");
    expect([ledger.owner(a), ledger.readySize]).toEqual(["replay", 0]);
    ledger.unpark(a);
    expect(ledger.takeReady(1)).toHaveLength(1);
  });

  it("replay's death ends its backoffs: nobody else remembers them", () => {
    const ledger = new Ledger(1_000);
    ledger.suspect(a, cohorts[0], first, "replay", 0);
    const [taken] = ledger.takeReady(1);
    ledger.release(taken === undefined ? [] : [{ taken, outcome: "parked" }]);
    ledger.disown("replay");
    expect(ledger.readySize).toBe(1);
  });

  it("a key of db_perror leaves with a new write, and is healed when the peer confirms it", () => {
    const ledger = new Ledger(1_000);
    ledger.suspect(a, cohorts[0], first, "perror", 0);
    expect([ledger.account(a), ledger.counts().perror, ledger.oldestMs()]).toEqual(["perror", 1, undefined]);
    ledger.admit(a, cohorts[0], second, 5);
    expect(ledger.settle(a)).toBe("queuer");
    const [taken] = ledger.take("queuer", [a]).taken;
    const { cleared } = ledger.release(taken === undefined ? [] : [{ taken, outcome: "confirmed" }]);
    expect(cleared).toEqual([{ key: a, version: second, healed: true }]);
  });

  it("takes another mark only while its bytes fit, and a marked key always", () => {
    const ledger = new Ledger(bytesOf(a) * 2);
    const [b, c] = [rowKey("things", "b"), rowKey("things", "c")];
    for (const each of [a, b]) {
      expect(ledger.fits(each)).toBe(true);
      ledger.admit(each, cohorts[0], first, 0);
    }
    expect([ledger.fits(a), ledger.fits(c)]).toEqual([true, false]);
    ledger.drop(b);
    expect(ledger.fits(c)).toBe(true);
    expect(ledger.fits(rowKey("things", "longer"))).toBe(false);
  });

  it("tells since when the oldest mark stands that somebody is still to send", () => {
    const ledger = new Ledger(1_000);
    ledger.suspect(a, cohorts[0], first, "perror", 10);
    expect(ledger.oldestMs()).toBeUndefined();
    ledger.admit(rowKey("things", "b"), cohorts[0], first, 20);
    ledger.suspect(rowKey("things", "c"), cohorts[0], first, "replay", 30);
    expect(ledger.oldestMs()).toBe(20);
  });

  it("of a key whose mark went meanwhile nothing is quarantined", () => {
    const ledger = new Ledger(1_000);
    expect(ledger.mayQuarantine(a, first)).toBe(false);
    ledger.quarantine(a, first);
    expect(ledger.account(a)).toBe("none");
  });

  it("a version is never admitted twice", () => {
    const ledger = new Ledger(1_000);
    ledger.admit(a, cohorts[0], first, 0);
    expect(() => ledger.admit(a, cohorts[0], first, 0)).toThrow("never admitted twice");
  });
});

it("a write leaves a key under repair to replay, its backoff included, and takes one from db_perror", () => {
  const ledger = new Ledger(1_000);
  ledger.suspect("a", cohorts[0], [1, 1, 1], "replay", 0);
  const [taken] = ledger.takeReady(1);
  if (taken !== undefined) ledger.release([{ taken, outcome: "parked" }]);
  ledger.admit("a", cohorts[0], [1, 1, 2], 0);
  expect(ledger.settle("a")).toBe("replay");
  expect(ledger.takeReady(1)).toEqual([]);
  ledger.unpark("a");
  expect(ledger.takeReady(1).map(({ key }) => key)).toEqual(["a"]);
  ledger.suspect("b", cohorts[0], [1, 1, 3], "perror", 0);
  ledger.admit("b", cohorts[0], [1, 1, 4], 0);
  expect(ledger.settle("b")).toBe("queuer");
});

it("a version that is still being committed has not been rejected, and is not quarantined", () => {
  const ledger = new Ledger(1_000);
  ledger.admit("a", cohorts[0], [1, 1, 1], 0);
  expect(ledger.mayQuarantine("a", [1, 1, 1])).toBe(false);
  ledger.quarantine("a", [1, 1, 1]);
  expect(ledger.owner("a")).toBe("queuer");
  ledger.settle("a");
  ledger.quarantine("a", [1, 1, 1]);
  expect(ledger.owner("a")).toBe("perror");
});

describe("the ledger's ranges", () => {
  const range: DirtyRange = {
    id: "1.1",
    cohort: "things/+49",
    from: "b",
    to: "m",
    cursor: "b",
    state: "collecting",
    reason: "overflow",
  };

  it("cover from their cursor to their end, which is open if it is empty", () => {
    const at = (cursor: string, to: string) =>
      ["a", "b", "f", "l", "m", "z"].filter((each) => covers({ ...range, cursor, to }, each)).join("");
    expect([at("b", "m"), at("f", "m"), at("b", ""), at("m", "m")]).toEqual(["bfl", "fl", "bflmz", ""]);
  });

  it("account for a key only where it has no mark", () => {
    const ledger = new Ledger(1_000);
    ledger.setRange(range);
    expect(["a", "b", "z"].map((each) => ledger.account(each))).toEqual(["none", "range", "none"]);
    ledger.suspect("b", cohorts[0], [1, 1, 1], "replay", 0);
    expect(ledger.account("b")).toBe("mark");
    ledger.removeRange(range.id);
    ledger.drop("b");
    expect(ledger.account("b")).toBe("none");
  });

  it("count the writes that wait in them until each is settled, also while their cursor moves", () => {
    const ledger = new Ledger(1_000);
    ledger.setRange(range);
    ledger.absorb(range.id);
    ledger.absorb(range.id);
    ledger.setRange({ ...range, state: "scanning" });
    ledger.settleAbsorbed(range.id);
    expect(ledger.rangePending(range.id)).toBe(1);
    ledger.settleAbsorbed(range.id);
    ledger.settleAbsorbed(range.id);
    expect(ledger.rangePending(range.id)).toBe(0);
  });

  it("are settled by a new term's fence, and wait for what comes after it", () => {
    const ledger = new Ledger(1_000);
    ledger.setRange(range);
    ledger.absorb(range.id);
    ledger.begin(() => [0, 2, 1]);
    expect(ledger.rangePending(range.id)).toBe(0);
    ledger.absorb(range.id);
    expect(ledger.rangePending(range.id)).toBe(1);
  });

  it("a new one never takes the place of one that has outlived its ledger", () => {
    const { cohort, reason } = range;
    const ledger = new Ledger(1_000);
    ledger.setRange(range);
    const opened = ledger.openRange(1, { cohort, from: "n", to: "", reason });
    expect(ledger.range(range.id)).toEqual(range);
    expect(opened.id).not.toBe(range.id);
    ledger.setRange({ ...range, id: "1.3" });
    ledger.openRange(1, { cohort, from: "n", to: "", reason });
    expect(ledger.ranges()).toHaveLength(4);
  });

  it("one that scans takes no more writes of its cohort", () => {
    const ledger = new Ledger(1_000);
    ledger.setRange({ ...range, id: "1.0", state: "scanning" });
    expect(ledger.collecting(range.cohort)).toBeUndefined();
    ledger.setRange(range);
    expect([ledger.collecting(range.cohort)?.id, ledger.collecting("things/+1")]).toEqual(["1.1", undefined]);
  });
});
