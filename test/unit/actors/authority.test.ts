/** Who may write a cohort: what decisions amount to, and what a shard makes of it. */

import { describe, expect, it } from "vitest";
import { AuthorityTable } from "../../../actors/authority.ts";
import {
  authorityOf,
  type CohortRecord,
  type DecisionRecord,
  type DecisionState,
} from "../../../actors/control_store.ts";

const cohort: CohortRecord = { cohort: "groups/+49", phase: "live", site: "A", term: 1 };

/** The nth decision: terms 10 n + 1 and 10 n + 2. */
function decision(n: number, state: DecisionState, change: Partial<DecisionRecord> = {}): DecisionRecord {
  const ended = state === "swapped" || state === "aborted";
  return {
    id: `d${n}`,
    prefix: "+49",
    cohorts: ["groups/+49", "blocklist/+49"],
    from: "A",
    to: "B",
    blockTerm: 10 * n + 1,
    swapTerm: 10 * n + 2,
    state,
    owner: "one",
    leaseUntilMs: 0,
    endedAtMs: ended ? n * 1_000 : 0,
    ...change,
  };
}

const back = { from: "B", to: "A" } as const;

describe("the authority of a cohort", () => {
  it("is what the plan wrote, until a decision names it", () => {
    const other = decision(1, "swapped", { cohorts: ["groups/+55"] });
    const planned = { site: "A", term: 1, blocked: false, decision: undefined };
    expect(authorityOf(cohort, [])).toEqual(planned);
    expect(authorityOf(cohort, [other])).toEqual(planned);
  });

  it.each([
    ["announced", { site: "A", term: 1, blocked: false }],
    ["blocking", { site: "A", term: 11, blocked: true }],
    ["swapped", { site: "B", term: 12, blocked: false, leaving: "d1" }],
    ["aborted", { site: "A", term: 12, blocked: false }],
  ] as const)("while its decision is %s", (state, expected) => {
    const only = decision(1, state);
    expect(authorityOf(cohort, [only])).toEqual({ ...expected, decision: only });
  });

  it("waits for nobody once control knows that the old side let go", () => {
    const swapped = decision(1, "swapped", { letGo: true });
    expect(authorityOf(cohort, [swapped])).toEqual({
      site: "B",
      term: 12,
      blocked: false,
      decision: swapped,
    });
  });

  it("is the outcome of the latest decision, in whatever order they are listed", () => {
    const decisions = [decision(1, "swapped"), decision(2, "aborted", back), decision(3, "blocking", back)];
    for (const listed of [decisions, decisions.toReversed()]) {
      expect(authorityOf(cohort, listed)).toMatchObject({ site: "B", term: 31, blocked: true });
      expect(
        authorityOf(
          cohort,
          listed.filter(({ id }) => id !== "d3"),
        ),
      ).toMatchObject({ site: "B", term: 22 });
    }
  });

  it("stays with the decision before while a new one is only announced", () => {
    const decisions = [decision(1, "swapped"), decision(2, "announced", back)];
    expect(authorityOf(cohort, decisions)).toMatchObject({ site: "B", term: 12, decision: { id: "d2" } });
  });

  it("is at one site in every state, and its terms never fall", () => {
    const states: DecisionState[] = ["announced", "blocking", "swapped"];
    const terms = states.map((state) => authorityOf(cohort, [decision(1, state)]).term);
    expect(terms).toEqual([1, 11, 12]);
  });
});

describe("a shard's table of authority", () => {
  function tableAt(site: string, ...decisions: DecisionRecord[]): AuthorityTable {
    const table = new AuthorityTable(site);
    table.update([cohort, { cohort: "blocklist/+49", phase: "off", site: "A", term: 2 }], decisions);
    return table;
  }

  it("serves reads and writes at the authority only, and tells the others where it is", () => {
    expect(tableAt("A").writing("groups/+49")).toMatchObject({ site: "A", term: 1, live: true });
    const moved = { code: "moved", details: { site: "A", term: 1 } };
    for (const each of ["reading", "writing"] as const) {
      expect(() => tableAt("B")[each]("groups/+49")).toThrow(expect.objectContaining(moved));
    }
    expect(tableAt("B", decision(1, "swapped")).writing("groups/+49").term).toBe(12);
  });

  it("serves nothing that was taken from a side which may still serve it", () => {
    let mayServe = true;
    const table = new AuthorityTable("B", (swap) => swap === "d1" && mayServe);
    table.update([cohort], [decision(1, "swapped")]);
    for (const each of ["reading", "writing"] as const)
      expect(() => table[each]("groups/+49")).toThrow(expect.objectContaining({ code: "blocked" }));
    mayServe = false;
    expect(table.writing("groups/+49").term).toBe(12);
    mayServe = true;
    table.update([cohort], [decision(1, "swapped", { letGo: true })]);
    expect(table.writing("groups/+49").term).toBe(12);
  });

  it("serves reads but no writes while a prefix is blocked", () => {
    const table = tableAt("A", decision(1, "blocking"));
    expect(table.reading("groups/+49")).toMatchObject({ term: 11, blocked: true });
    expect(() => table.writing("groups/+49")).toThrow(expect.objectContaining({ code: "blocked" }));
    expect(() => tableAt("B", decision(1, "blocking")).reading("groups/+49")).toThrow("served by site A");
  });

  it("a cohort that is not in the plan is refused with its name and the cure", () => {
    const refused = {
      code: "config",
      details: { field: "groups/+1" },
      message: expect.stringContaining("run plan"),
    };
    expect(() => tableAt("A").reading("groups/+1")).toThrow(expect.objectContaining(refused));
  });

  it("its own terms are those of the cohorts that it has authority over", () => {
    expect(tableAt("A").ownTerms()).toEqual({ "groups/+49": 1, "blocklist/+49": 2 });
    expect(tableAt("A", decision(1, "swapped")).ownTerms()).toEqual({});
    expect(tableAt("B", decision(1, "swapped")).ownTerms()).toEqual({
      "groups/+49": 12,
      "blocklist/+49": 12,
    });
  });

  it("is all live only when no cohort is off", () => {
    expect(tableAt("A").allLive).toBe(false);
    const table = new AuthorityTable("A");
    table.update([cohort], []);
    expect(table.allLive).toBe(true);
  });

  it("goes on judging expiry by what an ended decision recorded, while a later one is open", () => {
    const ended = decision(1, "swapped");
    expect(tableAt("B", ended).reading("groups/+49").decidedAtMs).toBe(1_000);
    for (const state of ["announced", "blocking"] as const) {
      const table = tableAt("B", ended, decision(2, state, back));
      expect(table.reading("groups/+49").decidedAtMs).toBe(1_000);
    }
    expect(tableAt("A", ended, decision(2, "swapped", back)).reading("groups/+49").decidedAtMs).toBe(2_000);
  });

  it("forgets cohorts that control has no more", () => {
    const table = tableAt("A");
    table.update([cohort], []);
    expect(() => table.reading("blocklist/+49")).toThrow(expect.objectContaining({ code: "config" }));
  });
});
