/** Decision records: the only ways in which they change, and who may. */

import { describe, expect, it } from "vitest";
import {
  type CohortRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
  type DecisionState,
} from "../../../actors/control_store.ts";
import {
  blockDecision,
  endDecision,
  endOverdue,
  hasLeft,
  isOpen,
  mayEnd,
  noteLetGo,
  readAuthorities,
  readCohort,
  readDecisions,
  renewLease,
} from "../../../actors/decisions.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { MemoryControl } from "../../../actors/stores/memory_control.ts";
import type { Self } from "../../../src/index.ts";

const nowMs = 1_000_000;
const self = { name: "A/db_failover", clock: { now: () => nowMs, monotonicMs: () => 0 } } as Self;
const states: readonly DecisionState[] = ["announced", "blocking", "swapped", "aborted"];
const ended: readonly DecisionState[] = ["swapped", "aborted"];
const id = "+49-00000007";

const announced: DecisionRecord = {
  id,
  prefix: "+49",
  cohorts: ["things/+49"],
  from: "A",
  to: "B",
  blockTerm: 7,
  swapTerm: 8,
  state: "announced",
  owner: "B/db_failover",
  leaseUntilMs: nowMs,
  endedAtMs: 0,
};

/** A control store with this decision, and what stands in it. */
async function holding(...decisions: readonly Partial<DecisionRecord>[]) {
  const control = new MemoryControl();
  for (const each of decisions) {
    const decision = { ...announced, ...each };
    await control.compareAndSet(controlKeys.decision(decision.id), 0, decision);
  }
  const stands = () => control.getNow(controlKeys.decision(id))?.value as DecisionRecord;
  return { control, stands };
}

/** Before each of the first `count` changes somebody else changes the record. */
function raced(control: MemoryControl, count: number, change: Partial<DecisionRecord>): ControlStore {
  let left = count;
  return {
    get: (key) => control.get(key),
    list: (prefix) => control.list(prefix),
    nextTerm: () => control.nextTerm(),
    close: () => control.close(),
    compareAndSet: async (key, revision, value) => {
      if (left-- > 0) {
        const record = await control.get(key);
        const other = { ...(record?.value as DecisionRecord), ...change };
        await control.compareAndSet(key, record?.revision ?? 0, other);
      }
      return control.compareAndSet(key, revision, value);
    },
  };
}

describe("the end of a decision", () => {
  it.each<{ state: DecisionState; end: "swapped" | "aborted"; stands: DecisionState; withdrawn?: boolean }>([
    { state: "announced", end: "swapped", stands: "announced" },
    { state: "announced", end: "aborted", stands: "aborted", withdrawn: true },
    { state: "blocking", end: "swapped", stands: "swapped" },
    { state: "blocking", end: "aborted", stands: "aborted", withdrawn: false },
    { state: "swapped", end: "aborted", stands: "swapped" },
    { state: "swapped", end: "swapped", stands: "swapped" },
    { state: "aborted", end: "swapped", stands: "aborted" },
    { state: "aborted", end: "aborted", stands: "aborted" },
  ])("as $end of one that is $state: $stands", async ({ state, end, stands, withdrawn }) => {
    const before = { ...announced, state };
    const of = await holding(before);
    const compared = { atMs: 5 } as never;
    expect(await endDecision(self, of.control, id, end, { compared })).toBe(stands);
    if (stands === state) expect(of.stands()).toEqual(before);
    else if (stands === "swapped")
      expect(of.stands()).toEqual({ ...before, state: stands, compared, endedAtMs: nowMs });
    else expect(of.stands()).toEqual({ ...before, state: stands, withdrawn, endedAtMs: nowMs });
  });

  it("is the first one's, whoever races for it", async () => {
    const of = await holding({ state: "blocking" });
    const swappedByOther = raced(of.control, 1, { state: "swapped", endedAtMs: 5 });
    expect(await endDecision(self, swappedByOther, id, "aborted")).toBe("swapped");
    expect(of.stands()).toMatchObject({ state: "swapped", endedAtMs: 5 });
  });

  it("is written though others change the record meanwhile, upon what they wrote", async () => {
    const of = await holding({ state: "blocking" });
    const renewed = raced(of.control, 3, { leaseUntilMs: 99 });
    expect(await endDecision(self, renewed, id, "swapped")).toBe("swapped");
    expect(of.stands()).toMatchObject({ state: "swapped", leaseUntilMs: 99 });
  });

  it("of one that is not there is a conflict", async () => {
    const { control } = await holding();
    const gone = { code: "conflict", message: expect.stringContaining(id) };
    await expect(endDecision(self, control, id, "aborted")).rejects.toMatchObject(gone);
  });
});

describe("who may end a decision", () => {
  it.each([
    { owner: self.name, leaseUntilMs: nowMs + 1, may: true },
    { owner: "another", leaseUntilMs: nowMs + 1, may: false },
    { owner: "another", leaseUntilMs: nowMs, may: false },
    { owner: "another", leaseUntilMs: nowMs - 1, may: true },
  ])("of $owner, with a lease until $leaseUntilMs: $may", async ({ may, ...held }) => {
    expect(mayEnd({ ...announced, ...held }, self)).toBe(may);
    for (const state of states) {
      const of = await holding({ ...held, state });
      const ends = may && isOpen(state);
      expect(await endOverdue(self, of.control, id)).toBe(ends);
      expect(of.stands().state).toBe(ends ? "aborted" : state);
    }
  });

  it("open are those that are announced or blocking", () => {
    expect(states.filter(isOpen)).toEqual(["announced", "blocking"]);
  });
});

describe("a block", () => {
  it("follows an announcement, with a new lease", async () => {
    const of = await holding({});
    const leaseUntilMs = nowMs + dataLimits.decisionLeaseMs;
    const blocking = { ...announced, state: "blocking", leaseUntilMs };
    expect(await blockDecision(self, of.control, id)).toEqual(blocking);
    expect(of.stands()).toEqual(blocking);
  });

  it.each(states.filter((state) => state !== "announced"))(
    "of one that is %s is a conflict",
    async (state) => {
      const of = await holding({ state });
      await expect(blockDecision(self, of.control, id)).rejects.toMatchObject({ code: "conflict" });
      expect(of.stands()).toEqual({ ...announced, state });
    },
  );
});

describe("a lease", () => {
  it.each(states)("of one that is %s is renewed while it is open", async (state) => {
    const of = await holding({ state });
    expect(await renewLease(self, of.control, id)).toBe(state);
    const leaseUntilMs = isOpen(state) ? nowMs + dataLimits.decisionLeaseMs : nowMs;
    expect(of.stands()).toEqual({ ...announced, state, leaseUntilMs });
  });
});

describe("what the old side let go", () => {
  it("is noted of a swap, once, and of nothing else", async () => {
    expect(states.filter((state) => hasLeft({ ...announced, state }))).toEqual(["swapped"]);
    for (const state of states) {
      const of = await holding({ state });
      await noteLetGo(of.control, id);
      await noteLetGo(of.control, id);
      expect(of.stands().letGo).toBe(state === "swapped" ? true : undefined);
      expect(of.control.getNow(controlKeys.decision(id))?.revision).toBe(state === "swapped" ? 2 : 1);
      expect(hasLeft(of.stands())).toBe(false);
      await expect(noteLetGo(of.control, "gone")).rejects.toMatchObject({ code: "conflict" });
    }
  });
});

describe("what control holds", () => {
  it("decisions come in the order of their terms", async () => {
    const { control } = await holding(
      { id: "a", blockTerm: 9 },
      { id: "b", blockTerm: 3 },
      { id: "c", blockTerm: 5 },
    );
    expect((await readDecisions(control)).map((each) => each.id)).toEqual(["b", "c", "a"]);
  });

  it("a cohort that it does not know is none; of each that it knows it says who serves it", async () => {
    const { control } = await holding(
      ...ended.map((state, i) => ({ id: state, state, blockTerm: 7 + i, swapTerm: 9 })),
    );
    const cohort: CohortRecord = { cohort: "things/+49", phase: "live", site: "A", term: 1 };
    expect(await readCohort(control, cohort.cohort)).toBeUndefined();
    await control.compareAndSet(controlKeys.cohort(cohort.cohort), 0, cohort);
    expect(await readCohort(control, cohort.cohort)).toEqual(cohort);
    const authorities = await readAuthorities(control);
    expect(authorities.get(cohort.cohort)).toMatchObject({ site: "A", term: 9, blocked: false });
  });
});
