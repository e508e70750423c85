/** db_failover by itself: what it finds when it starts, what waits for what, and what it does between two moves. */

import { describe, expect, it } from "vitest";
import type { DecisionRecord } from "../../../actors/control_store.ts";
import type { HoldFilter } from "../../../actors/holds.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { rowKey } from "../../../actors/records.ts";
import { decided, type FailoverStage, name, playFailover } from "./failover_stage.ts";
import { cohort, move } from "./move_stage.ts";

const long = { timeoutMs: 10_000_000 };
const blocking: DecisionRecord = { ...decided, state: "blocking", letGo: false, endedAtMs: 0 };
const crawlers = ["A/0/db_crawler resume", "B/0/db_crawler resume"];

/** As the desk notes it. */
function unhold(site: string, filter: HoldFilter): string {
  return `${site}/0/db_dirty_keys unhold ${JSON.stringify(filter)}`;
}

/** The end of a move, in a word. */
function ended({ failover }: FailoverStage, more: Partial<typeof move> = {}): Promise<string> {
  return failover.call.move({ ...move, ...more }, long).then(
    ({ outcome, reason }) => `${outcome} ${reason}`.trim(),
    (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
  );
}

describe("a coordinator that starts", () => {
  it("with nothing to recover has every owner take over what stands, and lets crawlers go on", () =>
    playFailover(async ({ world, desk, entries }) => {
      await world.sleep(500);
      const rest = desk.asked.filter((what) => !what.includes("unhold"));
      expect(rest).toEqual(["A/0/db_switch refresh", "B/0/db_switch refresh", ...crawlers]);
      expect(entries()).toEqual([]);
    }));

  it("ends what an earlier life of it left open, and says so in the log", () =>
    playFailover(
      async ({ world, desk, decisions, entries }) => {
        await world.sleep(500);
        expect(decisions()[0]).toMatchObject({ state: "aborted", withdrawn: false });
        expect(entries()).toMatchObject([
          { step: "aborted", decision: decided.id, facts: { foundLater: true } },
        ]);
        // It holds nothing any more where it would have gone.
        expect(desk.took("B/0/db_dirty_keys unhold")[0]).toContain(`{"decisions":["${decided.id}"]}`);
        expect(desk.took("A/0/db_dirty_keys unhold")[0]).toContain('{"decisions":[]}');
        expect(desk.took("resume")).toEqual(crawlers);
      },
      [{ ...blocking, owner: name }],
    ));

  it("ends what another left open longer than its lease", () =>
    playFailover(
      async ({ world, decisions }) => {
        await world.sleep(500);
        expect(decisions()[0]?.state).toBe("aborted");
      },
      [{ ...blocking, leaseUntilMs: 1 }],
    ));

  it("leaves another's move alone, and its paused crawlers", () =>
    playFailover(
      async ({ world, desk, decisions, entries }) => {
        await world.sleep(500);
        expect(decisions()).toEqual([blocking]);
        expect(entries()).toEqual([]);
        expect(desk.took("resume")).toEqual([]);
        expect(desk.took("refresh")).toHaveLength(2);
        // An open decision's holds are not released.
        expect(desk.took("unhold").join()).not.toContain(decided.id);
        await world.sleep(5 * dataLimits.decisionBeatMs);
        expect(desk.took("refresh")).toEqual([]);
      },
      [blocking],
    ));

  it("has an old side let go that control does not know to have", () =>
    playFailover(
      async ({ world, desk, decisions }) => {
        await world.sleep(500);
        expect(decisions()[0]).toMatchObject({ state: "swapped", letGo: true });
        expect(desk.took("A/0/db_switch refresh")).toHaveLength(2);
        expect(desk.took("B/0/db_switch refresh")).toHaveLength(1);
      },
      [{ ...decided, letGo: false }],
    ));

  it("releases on the side that a prefix left last what the decisions before had it hold", () =>
    playFailover(
      async ({ world, desk }) => {
        await world.sleep(500);
        const released = (site: string): string[] =>
          desk.took(`${site}/0/db_dirty_keys unhold`).filter((text) => text.includes("cohorts"));
        const ids = [decided.id, "+49-00000003"];
        expect(released("B")).toEqual([unhold("B", { cohorts: [cohort], decisions: ids })]);
        expect(released("A")).toEqual([unhold("A", { cohorts: [], decisions: ids })]);
      },
      [decided, { ...decided, id: "+49-00000003", from: "B", to: "A", blockTerm: 3, swapTerm: 4 }],
    ));

  it("releases nothing where an aborted move would have left", () =>
    playFailover(
      async ({ world, desk }) => {
        await world.sleep(500);
        const released = desk.took("unhold").filter((text) => text.includes("cohorts"));
        const decisions = [decided.id, "+49-00000003"];
        expect(released).toEqual([
          unhold("A", { cohorts: [], decisions }),
          unhold("B", { cohorts: [cohort], decisions }),
        ]);
      },
      [
        { ...decided, from: "B", to: "A" },
        { ...decided, id: "+49-00000003", blockTerm: 3, state: "aborted" },
      ],
    ));

  it("notes the end of a decision though an earlier one of its prefix ended alike", () =>
    playFailover(
      async ({ world, put, restart, entries }) => {
        await world.sleep(500);
        await put({ ...decided, id: "+49-00000003", blockTerm: 3, swapTerm: 4 });
        await restart();
        await world.sleep(500);
        const noted = entries().map(({ decision, step }) => `${decision} ${step}`);
        expect(noted).toEqual([`${decided.id} swapped`, "+49-00000003 swapped"]);
      },
      [decided],
    ));

  it.each([
    [unhold("B", { decisions: [] }), "refresh"],
    [unhold("B", { cohorts: [], decisions: [decided.id] }), "refresh"],
    ["A/0/db_switch refresh", "B/0/db_switch refresh"],
    ["B/0/db_switch refresh", "resume"],
    ["B/0/db_crawler resume", "nothing"],
  ])("does not go on before %s is answered, and tries it until it is", (asked, after) =>
    playFailover(
      async ({ world, desk, decisions, entries }) => {
        desk.hanging.add(asked);
        await world.sleep(2 * dataLimits.barrierTimeoutMs);
        expect(desk.took(after)).toEqual([]);
        expect(decisions()[0]?.letGo).toBe(asked.startsWith("B/0/db_switch") || asked.includes("resume"));
        const retried = () => world.logged.filter(({ message }) => message.includes("tried again")).length;
        expect(retried()).toBeGreaterThan(0);
        desk.hanging.clear();
        desk.asked.length = 0;
        await world.sleep(2 * dataLimits.barrierTimeoutMs);
        expect(decisions()[0]?.letGo).toBe(true);
        expect(entries()).toHaveLength(1);
        expect(desk.took("resume").at(-1)).toBe(crawlers.at(-1));
        const before = retried();
        await world.sleep(2 * dataLimits.barrierTimeoutMs);
        expect(retried()).toBe(before);
      },
      [{ ...decided, letGo: false }],
    ),
  );

  it.each(["decision/", "audit/"])("tries again what control does not write of %s", (prefix) =>
    playFailover(
      async ({ world, control, decisions, entries }) => {
        let failures = 2;
        control.onWrite = (key) => {
          if (key.startsWith(prefix) && failures-- > 0) throw new Error("away");
        };
        await world.sleep(dataLimits.retryPauseMs * 20);
        expect(failures).toBeLessThan(0);
        expect(decisions()[0]?.letGo).toBe(true);
        expect(entries()).toHaveLength(1);
      },
      [{ ...decided, letGo: false }],
    ),
  );

  it("notes the end of each prefix's last decision, once", () =>
    playFailover(
      async ({ world, restart, entries }) => {
        await world.sleep(500);
        const noted = entries().map(({ decision, step }) => `${decision} ${step}`);
        expect(noted.sort()).toEqual(["+1-00000005 aborted", "+49-00000003 swapped"]);
        await restart();
        await world.sleep(500);
        expect(entries()).toHaveLength(2);
      },
      [
        decided,
        { ...decided, id: "+49-00000003", blockTerm: 3, swapTerm: 4 },
        {
          ...decided,
          id: "+1-00000005",
          prefix: "+1",
          cohorts: ["things/+1"],
          state: "aborted",
          blockTerm: 5,
        },
      ],
    ));

  it("tries a recovery again that failed, a little later; moves wait for it", () =>
    playFailover(async (stage) => {
      const { world, desk, control } = stage;
      let isAway = true;
      control.onList = () => {
        if (isAway) throw new Error("away");
      };
      const move = ended(stage);
      await world.sleep(dataLimits.retryPauseMs * 10);
      expect(world.logged.filter(({ message }) => message.includes("tried again")).length).toBeGreaterThan(1);
      expect(desk.took("validate")).toEqual([]);
      isAway = false;
      expect(await move).toBe("swapped");
      expect(desk.took("resume").slice(0, 2)).toEqual(crawlers);
    }));
});

describe("moves", () => {
  it.each([0, -1, Number.NaN])("with %d ms of being read-only are refused", (readOnlyMsMax) =>
    playFailover(async (stage) => {
      const refused = { code: "bad_argument", details: { field: "readOnlyMsMax" } };
      await expect(stage.failover.call.move({ ...move, readOnlyMsMax }, long)).rejects.toMatchObject(refused);
      expect(await ended(stage)).toBe("swapped");
    }),
  );

  it("go one after the other; one that is refused holds nobody up", () =>
    playFailover(async (stage) => {
      const { world, desk, failover } = stage;
      desk.hanging.add("A/0/db_compare validate");
      const first = ended(stage);
      const second = ended(stage, { from: "B", to: "A" });
      const third = ended(stage);
      await world.eventually(
        "the first compares",
        () => desk.took("A/0/db_compare validate").length > 0,
        5_000,
      );
      await world.sleep(1_000);
      expect(desk.asked.filter((what) => what.startsWith("B/0/db_dirty_keys ranges"))).toEqual([]);
      desk.hanging.clear();
      await failover.call.abort("enough");
      expect(await first).toBe("aborted aborted on demand: enough");
      expect(await second).toContain("conflict: +49: A serves it, not B");
      expect(await third).toBe("swapped");
    }));

  it("that nobody has in work can't be aborted, which is no error", () =>
    playFailover(async (stage) => {
      await stage.failover.call.abort("nothing");
      expect(await ended(stage)).toBe("swapped");
      await stage.failover.call.abort("too late");
      expect(await ended(stage, { from: "B", to: "A" })).toBe("swapped");
    }));

  it("whose old side can't be told of the swap are followed by recoveries until it is", () =>
    playFailover(async (stage) => {
      const { world, desk, decisions, control } = stage;
      await world.sleep(500);
      const refresh = "A/0/db_switch refresh";
      control.onWritten = (_, value) => {
        if ((value as DecisionRecord).state === "swapped") desk.hanging.add(refresh);
      };
      const end = ended(stage);
      await world.eventually("it has swapped", () => desk.hanging.size > 0, 5_000);
      expect(await end).toBe("swapped");
      expect(decisions()[0]?.letGo).toBeUndefined();
      desk.hanging.clear();
      control.onWritten = () => undefined;
      await world.sleep(2 * dataLimits.barrierTimeoutMs);
      expect(decisions()[0]?.letGo).toBe(true);
      expect(desk.took("resume").slice(-2)).toEqual(crawlers);
    }));

  it("that left something undone are followed by a recovery", () =>
    playFailover(async (stage) => {
      const { world, desk } = stage;
      await world.sleep(500);
      desk.asked.length = 0;
      desk.hanging.add("B/0/db_compare adopt");
      expect(await ended(stage)).toBe("swapped");
      await world.sleep(1_000);
      // Once by the move itself, once by the recovery.
      expect(desk.took("A/0/db_crawler resume")).toHaveLength(2);
    }));
});

describe("the lease of a decision", () => {
  const hangs = "A/0/db_compare validate";

  async function inWork(
    stage: FailoverStage,
  ): Promise<{ end: Promise<string>; decision: () => DecisionRecord }> {
    stage.desk.hanging.add(hangs);
    const end = ended(stage);
    await stage.world.eventually("it compares", () => stage.desk.took(hangs).length > 0, 5_000);
    return { end, decision: () => stage.decisions().at(-1) as DecisionRecord };
  }

  it("is renewed while its move is at work", () =>
    playFailover(async (stage) => {
      const { world, failover } = stage;
      const { end, decision } = await inWork(stage);
      for (let beat = 0; beat < 10; beat++) {
        await world.sleep(dataLimits.decisionBeatMs);
        const leftMs = decision().leaseUntilMs - world.wallMs;
        expect(leftMs).toBeGreaterThan(dataLimits.decisionLeaseMs - 2 * dataLimits.decisionBeatMs);
      }
      await failover.call.abort("enough");
      expect(await end).toContain("aborted");
    }));

  it("is renewed again after a beat that failed", () =>
    playFailover(async (stage) => {
      const { world, control, failover } = stage;
      const { end, decision } = await inWork(stage);
      let failures = 2;
      control.onWrite = () => {
        if (failures-- > 0) throw new Error("away");
      };
      await world.sleep(dataLimits.decisionBeatMs * 5);
      expect(failures).toBeLessThan(0);
      expect(decision().leaseUntilMs).toBeGreaterThan(world.wallMs);
      await failover.call.abort("enough");
      expect(await end).toBe("aborted aborted on demand: enough");
    }));

  it("that another ended aborts its move", () =>
    playFailover(async (stage) => {
      const { end, decision } = await inWork(stage);
      await stage.put({ ...decision(), state: "aborted", endedAtMs: 9 });
      expect(await end).toBe(`aborted decision ${decision().id} was ended by another`);
      expect(decision().endedAtMs).toBe(9);
    }));

  it("that ended while it was renewed aborts no later move", () =>
    playFailover(async (stage) => {
      const { world, control, failover, desk } = stage;
      const { end, decision } = await inWork(stage);
      const first = decision().id;
      let waits = 0;
      let goOn: () => void = () => undefined;
      control.onWrite = (_, value) => {
        const { id, state } = value as DecisionRecord;
        if (id !== first || state === "aborted" || waits++ > 0) return undefined;
        return new Promise((resolve) => {
          goOn = resolve;
        });
      };
      await world.eventually("a beat is on its way", () => waits > 0, 5_000);
      await failover.call.abort("enough");
      expect(await end).toContain("enough");
      const second = ended(stage);
      await world.eventually("the next compares", () => desk.took(hangs).length > 0, 5_000);
      goOn();
      await world.sleep(100);
      await failover.call.abort("enough of this, too");
      expect(await second).toBe("aborted aborted on demand: enough of this, too");
      expect(decision().id).not.toBe(first);
    }));

  it("of a silent coordinator is watched between two moves, and ended when it is over", () =>
    playFailover(async (stage) => {
      const { world, decisions, desk } = stage;
      await world.sleep(500);
      await stage.put({ ...blocking, leaseUntilMs: Math.round(world.wallMs) + 3_000 });
      await world.sleep(2_500);
      expect(decisions()[0]?.state).toBe("blocking");
      desk.asked.length = 0;
      await world.sleep(500 + 2 * dataLimits.decisionBeatMs);
      expect(decisions()[0]?.state).toBe("aborted");
      expect(desk.took("refresh")).toHaveLength(2);
      // And that was it.
      await world.sleep(10_000);
      expect(desk.took("refresh")).toEqual([]);
    }));

  it("of a silent coordinator is not ended by one that has a move in work", () =>
    playFailover(async (stage) => {
      const { world, failover } = stage;
      const { end } = await inWork(stage);
      await stage.put({ ...blocking, id: "+1-00000002", cohorts: ["things/+1"], leaseUntilMs: 1 });
      await world.sleep(5 * dataLimits.decisionBeatMs);
      const other = (): string | undefined => stage.decisions().find(({ id }) => id === "+1-00000002")?.state;
      expect(other()).toBe("blocking");
      await failover.call.abort("enough");
      await end;
      await world.sleep(2 * dataLimits.decisionBeatMs);
      expect(other()).toBe("aborted");
    }));
});

describe("what else is asked of it", () => {
  it("is answered while a move is in work: gates, decisions", () =>
    playFailover(async (stage) => {
      const { world, desk, failover } = stage;
      desk.hanging.add("A/0/db_compare validate");
      const end = ended(stage);
      await world.eventually("it compares", () => desk.took("validate").length > 0, 5_000);
      const { missing } = await failover.call.gates(move, long);
      expect(missing.map(({ gate }) => gate)).toEqual(["decision"]);
      expect(await failover.call.decisions()).toHaveLength(1);
      await failover.call.abort("enough");
      await end;
    }));

  it("is refused when control can't be read", () =>
    playFailover(async ({ world, control, failover }) => {
      await world.sleep(500);
      control.onList = () => {
        throw new Error("away");
      };
      await expect(failover.call.gates(move, long)).rejects.toMatchObject({
        message: expect.stringContaining("away"),
      });
    }));

  it("of quarantined and held keys is done where they are served", () =>
    playFailover(async ({ world, desk, failover, entries }) => {
      await world.sleep(500);
      const keys = [rowKey("things", "+491")];
      expect(await failover.call.quarantine({ deed: "retry", keys })).toEqual({ done: keys, refused: [] });
      expect(desk.took("retry")).toEqual(["A/0/db_perror retry"]);
      expect(await failover.call.quarantine({ deed: "resolve", keys })).toEqual({ done: keys, refused: [] });
      expect(desk.took("resolve")).toEqual(["A/0/db_perror resolve"]);
      const held = await failover.call.quarantine({ deed: "release", keys, stands: "left behind" });
      expect(held.refused).toEqual([{ key: keys[0], why: "not held on A" }]);
      expect(entries().map(({ step, facts }) => [step, facts])).toEqual([
        ["perror_retried", {}],
        ["perror_resolved", {}],
        ["held_released", { stands: "left behind" }],
      ]);
      await failover.call.quarantine({ deed: "release", keys });
      expect(entries().at(-1)?.facts).toEqual({ stands: "here" });
    }));

  it("of keys that no cohort has is an error", () =>
    playFailover(async ({ failover }) => {
      const asked = failover.call.quarantine({ deed: "retry", keys: [rowKey("others", "+491")] });
      await expect(asked).rejects.toMatchObject({ code: "config" });
    }));
});
