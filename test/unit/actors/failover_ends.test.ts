/** How a move by itself ends: by a wish, by others, by a control store that fails; and what is left to do after it. */

import { describe, expect, it } from "vitest";
import { controlKeys, type DecisionRecord } from "../../../actors/control_store.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { aborts, type Controlled, cohort, type MoveStage, playMove } from "./move_stage.ts";

describe("a wish to abort", () => {
  it.each(["validate", "verify", "carry held", "refresh B"])("while it does %s ends it at once", (step) =>
    playMove(async (stage) => {
      const { shards, world } = stage;
      let askedAtMs = 0;
      shards.takesMs[step] = 60_000;
      shards.onAsked = (what) => {
        if (what !== step || stage.decision() === undefined || askedAtMs > 0) return;
        askedAtMs = world.nowMs;
        stage.mover.cast.abort("enough");
      };
      if (step === "refresh B") {
        // The gates pass that barrier, too.
        shards.takesMs[step] = 1;
        shards.onAsked = (what) => {
          if (what === "pause crawlers") shards.takesMs[step] = 60_000;
          if (what !== step || stage.decision() === undefined) return;
          askedAtMs = world.nowMs;
          stage.mover.cast.abort("enough");
        };
      }
      await aborts(stage, "enough");
      expect(world.nowMs - askedAtMs).toBeLessThan(100);
      // What was left behind changes nothing any more.
      await world.sleep(120_000);
      expect(stage.steps().filter((each) => each === "aborted")).toHaveLength(1);
      expect(stage.decision()?.state).toBe("aborted");
      expect(shards.asked.filter((what) => what.startsWith("let go"))).toEqual([]);
      const rest = shards.asked.slice(shards.asked.lastIndexOf("refresh A"));
      expect(rest.slice(0, 3)).toEqual(["refresh A", "unhold B +49-00000001", "resume crawlers"]);
      expect(rest).not.toContain("adopt");
    }),
  );

  it("that comes while the announcement is on its way leaves no open decision", () =>
    playMove(async (stage) => {
      const { control, world, shards } = stage;
      control.onWrite = async (_, value) => {
        if ((value as DecisionRecord).state !== "announced") return;
        stage.mover.cast.abort("enough");
        await world.sleep(50);
      };
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "aborted", reason: "enough" });
      await world.sleep(1_000);
      expect(stage.decision()?.state).toBe("aborted");
      // Nobody was to pause yet.
      expect(shards.asked).not.toContain("resume crawlers");
    }));

  it("without a word is no rehearsal", () =>
    playMove(async (stage) => {
      stage.shards.takesMs.verify = 1_000;
      stage.shards.onAsked = (what) => {
        if (what === "verify") stage.mover.cast.abort("");
      };
      const report = await aborts(stage, "");
      expect(report).toMatchObject({ reason: "", wouldTakeMs: 0 });
      expect(stage.entries().at(-1)?.facts.rehearsed).toBe(false);
    }));

  it("after the swap changes nothing", () =>
    playMove(async (stage) => {
      stage.shards.onAsked = (what) => {
        if (what === "let go A") stage.mover.cast.abort("enough");
      };
      expect((await stage.run()).outcome).toBe("swapped");
    }));
});

describe("others beside it", () => {
  const other: DecisionRecord = {
    id: "+49-00000000",
    prefix: "+49",
    cohorts: [cohort],
    from: "A",
    to: "B",
    blockTerm: 0,
    swapTerm: 0,
    state: "announced",
    owner: "another",
    leaseUntilMs: Number.MAX_SAFE_INTEGER,
    endedAtMs: 0,
  };

  /** Written in the moment in which the move's own announcement is. */
  function meanwhile(
    { memory }: MoveStage,
    control: Controlled,
    records: Readonly<Record<string, unknown>>,
  ): void {
    let isDone = false;
    control.onWrite = async (key) => {
      if (isDone || !key.startsWith("decision/")) return;
      isDone = true;
      for (const [each, value] of Object.entries(records)) {
        const revision = memory.getNow(each)?.revision ?? 0;
        await memory.compareAndSet(each, revision, value);
      }
    };
  }

  it("one that announces at the same time makes it withdraw", () =>
    playMove(async (stage) => {
      meanwhile(stage, stage.control, { [controlKeys.decision(other.id)]: other });
      const report = await stage.run();
      expect(report).toMatchObject({
        outcome: "aborted",
        reason: "+49: decision +49-00000000 of another was made at the same time",
      });
      expect(stage.memory.getNow(controlKeys.decision(other.id))?.value).toEqual(other);
      expect(stage.decision()).toMatchObject({ state: "aborted", withdrawn: true });
      expect(stage.shards.asked).not.toContain("pause crawlers");
    }));

  it.each<{ what: string; is: Partial<DecisionRecord> }>([
    { what: "of other cohorts", is: { cohorts: ["things/*"] } },
    { what: "that has ended", is: { state: "aborted", withdrawn: true } },
  ])("one $what does not", ({ is }) =>
    playMove(async (stage) => {
      meanwhile(stage, stage.control, { [controlKeys.decision(other.id)]: { ...other, ...is } });
      expect((await stage.run()).outcome).toBe("swapped");
      expect(stage.shards.asked).toContain("release held A +49-00000000");
    }),
  );

  it("a cohort that another side serves by then is not moved", () =>
    playMove(async (stage) => {
      const swapped = { ...other, state: "swapped" };
      meanwhile(stage, stage.control, { [controlKeys.decision(other.id)]: swapped });
      expect((await stage.run()).reason).toBe(`${cohort}: B serves it now, not A`);
    }));

  it("its own announcement that is there already is a conflict", () =>
    playMove(async (stage) => {
      const { memory } = stage;
      await memory.compareAndSet(controlKeys.decision("+49-00000001"), 0, {
        ...other,
        id: "+49-00000001",
        cohorts: [],
      });
      const report = await stage.run();
      expect(report.reason).toBe("decision +49-00000001 exists");
    }));

  it("who ended its decision before the swap has aborted it", () =>
    playMove(async (stage) => {
      const { memory, shards } = stage;
      shards.onAsked = async (what) => {
        if (what !== "adopt") return;
        const { key, revision, value } = memory.listNow("decision/")[0] as never;
        await memory.compareAndSet(key, revision, { ...(value as DecisionRecord), state: "aborted" });
      };
      const report = await aborts(stage, "decision ended as aborted by another");
      expect(report.readOnlyMs).toBeGreaterThan(0);
    }));

  it("who swapped it before it was aborted has moved it", () =>
    playMove(async (stage) => {
      const { memory, shards } = stage;
      shards.verifications = [{ verified: 5, differing: 1, parts: [] }];
      shards.onAsked = async (what) => {
        if (what !== "verify") return;
        const { key, revision, value } = memory.listNow("decision/")[0] as never;
        await memory.compareAndSet(key, revision, { ...(value as DecisionRecord), state: "swapped" });
      };
      const report = await stage.run();
      expect(report.outcome).toBe("swapped");
      expect(shards.asked).toContain("let go B");
      expect(stage.decision()).toMatchObject({ state: "swapped", letGo: true });
    }));
});

describe("control that fails", () => {
  it("after it has written the swap leaves a move that has swapped", () =>
    playMove(async (stage) => {
      let isLost = false;
      stage.control.onWritten = (_, value) => {
        if (isLost || (value as DecisionRecord).state !== "swapped") return;
        isLost = true;
        throw new Error("no answer");
      };
      const report = await stage.run();
      expect(report.outcome).toBe("swapped");
      expect(stage.decision()).toMatchObject({ state: "swapped", letGo: true });
    }));

  it("before it has written the swap leaves the old side", () =>
    playMove(async (stage) => {
      let isLost = false;
      stage.control.onWrite = (_, value) => {
        if (isLost || (value as DecisionRecord).state !== "swapped") return;
        isLost = true;
        throw new Error("no way");
      };
      await aborts(stage, "no way");
    }));

  it("is asked until it has ended the decision, with pauses", () =>
    playMove(async (stage) => {
      stage.shards.mismatches = [1];
      const triedAtMs: number[] = [];
      stage.control.onWrite = (_, value) => {
        if ((value as DecisionRecord).state !== "aborted") return;
        if (triedAtMs.push(stage.world.nowMs) < 4) throw new Error("away");
      };
      await aborts(stage, "1 keys differ");
      const [first = 0, second = 0, third = 0, fourth = 0] = triedAtMs;
      for (const pauseMs of [second - first, third - second, fourth - third])
        expect(pauseMs).toBeGreaterThanOrEqual(dataLimits.retryPauseMs);
    }));

  it("and never wrote the announcement has nothing to end", () =>
    playMove(async (stage) => {
      stage.control.onWrite = (key) => {
        if (key.startsWith("decision/")) throw new Error("away");
      };
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "aborted", reason: "Error: away", readOnlyMs: 0 });
      expect(stage.decision()).toBeUndefined();
      expect(stage.shards.asked).toContain("refresh A");
    }));

  it("and gave no term has nothing to end, either", () =>
    playMove(async (stage) => {
      stage.control.nextTerm = async () => {
        throw new Error("away");
      };
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "aborted", reason: "Error: away", decision: "" });
      expect(stage.steps()).toEqual([]);
      expect(stage.shards.asked.at(-1)).toBe("refresh A");
      expect(await stage.mover.call.leftUndone()).toBe(0);
    }));

  it("and can't be read either is asked again", () =>
    playMove(async (stage) => {
      let failures = 4;
      const away = (key: string): void => {
        if (key.startsWith("decision/") && failures-- > 0) throw new Error("away");
      };
      stage.control.onWrite = away;
      stage.control.onRead = away;
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "aborted", reason: "Error: away" });
      expect(stage.shards.asked).toContain(`pause ${dataLimits.retryPauseMs}`);
    }));
});

describe("what is left to do after the end", () => {
  it.each(["let go A", "let go B", "release held A ", "record adopted B 9 1", "resume crawlers"])(
    "%s fails: the rest is done all the same, and a recovery is due",
    (what) =>
      playMove(async (stage) => {
        stage.shards.failing[what] = 1;
        expect((await stage.run()).outcome).toBe("swapped");
        // Who can't be told to let go may serve until its lease ends: the new side waits for that.
        expect(stage.decision()?.letGo).toBe(what === "let go A" ? undefined : true);
        expect(stage.shards.asked).toContain("let go B");
        expect(stage.shards.asked.at(-1)).toBe("resume crawlers");
        expect(await stage.mover.call.leftUndone()).toBe(1);
      }),
  );

  it("an old side that can't be told of an abort is told by the next recovery", () =>
    playMove(async (stage) => {
      stage.shards.mismatches = [1];
      stage.shards.onAsked = (what) => {
        if (what === "validate") stage.shards.failing["refresh A"] = 1;
      };
      await aborts(stage, "1 keys differ");
      expect(await stage.mover.call.leftUndone()).toBe(1);
      expect(stage.shards.asked.at(-1)).toBe("resume crawlers");
    }));
});
