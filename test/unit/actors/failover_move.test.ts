/** One move by itself: what it asks of the shards, what stands in control, and what it reports. */

import { describe, expect, it } from "vitest";
import type { DecisionRecord } from "../../../actors/control_store.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { predictReadOnly } from "../../../actors/read_only_prediction.ts";
import type { DirtyRange } from "../../../actors/records.ts";
import { aborts, idle, type MoveStage, noCounts, part, playMove } from "./move_stage.ts";

const range: DirtyRange = {
  id: "r",
  from: "",
  to: "",
  cursor: "",
  state: "collecting",
  reason: "copy",
} as never;

/** What the gates ask before anything happens. */
const gates = ["ranges", "loads", "refresh A", "refresh B", "counts"];
const announced = [
  "pause crawlers",
  "refresh A",
  "refresh B",
  "validate",
  "changed",
  "counts",
  "changed",
  "loads",
];
const given = ["refresh A"];

function conflict(text: string) {
  return { code: "conflict", message: expect.stringContaining(text) };
}

/** Control can't take this step of the decision log. */
function losesEntry({ control }: MoveStage, step: string): void {
  control.onWrite = (key, value) => {
    if (key.startsWith("audit/") && (value as { step: string }).step === step)
      throw new Error("control is away");
  };
}

describe("a move", () => {
  it("passes its steps in order, and each is on record", () =>
    playMove(async (stage) => {
      const { shards, world } = stage;
      const startedAtMs = world.wallMs;
      const report = await stage.run();
      expect(shards.asked).toEqual([
        ...gates,
        ...announced,
        "refresh A",
        "counts",
        "verify",
        "carry held",
        "adopt",
        "let go A",
        "let go B",
        "release held A ",
        "record adopted B 9 1",
        "resume crawlers",
      ]);
      expect(stage.steps()).toEqual([
        "announced",
        "compared",
        "blocking",
        "blocked",
        "drained_and_verified",
        "swapped",
        "unblocked",
      ]);
      expect(report).toMatchObject({
        prefix: "+49",
        decision: "+49-00000001",
        outcome: "swapped",
        reason: "",
        wouldTakeMs: 0,
        dirty: 0,
        held: 0,
        verified: 10,
        compared: { parts: 1, compared: 1, rows: 1_000, againRows: 7 },
      });
      expect(Object.keys(report.steps)).toEqual([
        "announce",
        "block",
        "drain and verify",
        "carry held",
        "log",
        "swap and unblock",
      ]);
      const decision = stage.decision();
      expect(decision).toMatchObject({
        blockTerm: 1,
        swapTerm: 2,
        state: "swapped",
        letGo: true,
        rehearsal: false,
      });
      expect(decision?.compared).toEqual(report.compared);
      expect(decision?.endedAtMs).toBeGreaterThan(startedAtMs);
      expect(await stage.mover.call.leftUndone()).toBe(0);
      expect(await stage.mover.call.held()).toBe("");
    }));

  it("holds its decision until it begins to end it", () =>
    playMove(async (stage) => {
      const held: string[] = [];
      stage.shards.onAsked = async (what) => {
        if (["ranges", "validate", "verify", "let go A"].includes(what))
          held.push(await stage.mover.call.held());
      };
      await stage.run();
      expect(held).toEqual(["", "+49-00000001", "+49-00000001", ""]);
    }));

  it("is read-only from the write of the block until both sides have taken the swap over", () =>
    playMove(async (stage) => {
      const { shards, control, world } = stage;
      shards.takesMs["let go B"] = 300;
      shards.takesMs.validate = 5_000;
      const times: Record<string, number> = {};
      control.onWrite = (_, value) => {
        const { state } = value as DecisionRecord;
        if (state === "blocking") times.block = world.nowMs - control.takesMs;
      };
      shards.onAsked = (what) => {
        if (what === "let go B") times.end = world.nowMs + 300;
      };
      const { readOnlyMs, steps } = await stage.run();
      expect(steps.announce).toBeGreaterThanOrEqual(5_000);
      expect(steps.announce).toBeLessThan(5_100);
      expect(readOnlyMs).toBeCloseTo((times.end ?? 0) - (times.block ?? 0), 3);
      expect(stage.entries().find(({ step }) => step === "swapped")?.facts.readOnlyMs).toBe(
        Math.round(readOnlyMs),
      );
    }));

  it("with keys in db_perror carries them over, and says how many", () =>
    playMove(async (stage) => {
      stage.shards.held = ["things\u0000+491", "things\u0000+492"];
      stage.shards.counts = [{ ...noCounts, marks: 2, perror: 2 }];
      const { outcome, held } = await stage.run();
      expect([outcome, held]).toEqual(["swapped", 2]);
      const carried = stage.entries().find(({ step }) => step === "carried");
      expect(carried).toMatchObject({ facts: { held: 2 } });
      expect(carried?.keys).toHaveLength(2);
    }));

  it("tells the new side when control knows that the old one has let go, and not before", () =>
    playMove(async (stage) => {
      const { shards, control } = stage;
      control.takesMs = 20;
      shards.takesMs["let go A"] = 100;
      let known: boolean | undefined;
      shards.onAsked = (what) => {
        if (what === "let go B") known = stage.decision()?.letGo;
      };
      expect((await stage.run()).outcome).toBe("swapped");
      expect(known).toBe(true);
    }));

  it("that a gate refuses changes nothing", () =>
    playMove(async (stage) => {
      stage.shards.ranges = [[{ shard: 0, range }]];
      await expect(stage.run()).rejects.toMatchObject(conflict("1 range still copied or repaired"));
      expect(stage.decision()).toBeUndefined();
      expect(stage.shards.asked).not.toContain("pause crawlers");
    }));

  it("releases what earlier decisions held, not what it carries itself", () =>
    playMove(async (stage) => {
      await stage.run();
      stage.shards.asked.length = 0;
      const back = { from: "B", to: "A" };
      expect((await stage.run(back)).outcome).toBe("swapped");
      expect(stage.shards.asked).toContain("release held B +49-00000001");
    }));
});

describe("a rehearsal", () => {
  it("gives the prefix back, carries nothing over, and says what a move would have taken", () =>
    playMove(async (stage) => {
      const { shards } = stage;
      shards.takesMs["refresh B"] = 70;
      shards.held = ["things\u0000+491"];
      const report = await stage.run({ rehearsal: true });
      expect(report).toMatchObject({ outcome: "rehearsed", reason: "", held: 1, verified: 10 });
      expect(report.wouldTakeMs).toBeCloseTo(report.readOnlyMs + 70, 6);
      expect(Object.keys(report.steps).at(-1)).toBe("abort and unblock");
      expect(shards.asked.slice(gates.length + announced.length)).toEqual([
        ...given,
        "counts",
        "verify",
        "quarantined",
        "refresh A",
        "unhold B +49-00000001",
        "resume crawlers",
      ]);
      expect(stage.decision()).toMatchObject({ state: "aborted", rehearsal: true, withdrawn: false });
      expect(stage.entries().at(-1)).toMatchObject({
        step: "aborted",
        facts: { reason: "", rehearsed: true },
      });
    }));

  it("that fails is an abort", () =>
    playMove(async (stage) => {
      stage.shards.mismatches = [3];
      const report = await aborts(stage, "3 keys differ without a mark", { rehearsal: true });
      expect(report.wouldTakeMs).toBe(0);
      expect(stage.entries().at(-1)?.facts.rehearsed).toBe(false);
    }));
});

describe("the comparison before the block", () => {
  it("of what changed goes on until that is little", () =>
    playMove(async (stage) => {
      const most = dataLimits.changedBeforeBlockMax;
      stage.shards.changed = [most + 1, most + 1, most, 0];
      await stage.run();
      const compared = stage.shards.asked.filter((what) => what.startsWith("validate") || what === "changed");
      expect(compared).toEqual([
        "validate",
        "changed",
        "validate what changed",
        "changed",
        "validate what changed",
        "changed",
        "changed",
      ]);
    }));

  it("ends after so many rounds, however much changes", () =>
    playMove(async (stage) => {
      stage.shards.changed = [dataLimits.changedBeforeBlockMax + 1];
      expect((await stage.run()).outcome).toBe("swapped");
      const rounds = stage.shards.asked.filter((what) => what.startsWith("validate"));
      expect(rounds).toHaveLength(1 + dataLimits.roundsBeforeBlockMax);
    }));

  it("finds what differs in a later round, too", () =>
    playMove(async (stage) => {
      stage.shards.changed = [dataLimits.changedBeforeBlockMax + 1];
      stage.shards.onAsked = (what) => {
        if (what === "validate what changed") stage.shards.mismatches = [2];
      };
      await aborts(stage, "2 keys differ without a mark");
    }));

  it("without which nobody knows what changed, it does not go on", () =>
    playMove(async (stage) => {
      stage.shards.changed = [0, Number.POSITIVE_INFINITY];
      await aborts(stage, "what changed since the comparison is not known");
      expect(stage.steps()).not.toContain("compared");
    }));
});

describe("before the block", () => {
  it("crawlers that can't be paused end it", () =>
    playMove(async (stage) => {
      stage.shards.failing["pause crawlers"] = 1;
      await aborts(stage, "pause crawlers fails");
      expect(stage.shards.asked).not.toContain("validate");
    }));

  it("what can't be noted ends it, and nothing was read-only", () =>
    playMove(async (stage) => {
      losesEntry(stage, "compared");
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "aborted", readOnlyMs: 0 });
      expect(report.reason).toContain("control is away");
      expect(stage.decision()).toMatchObject({ state: "aborted", withdrawn: true });
    }));
});

describe("the prediction", () => {
  it("is made of what was just measured", () =>
    playMove(async (stage) => {
      const { shards, control } = stage;
      control.takesMs = 4;
      shards.takesMs["refresh A"] = 30;
      shards.takesMs["refresh B"] = 50;
      shards.takesMs.counts = 6;
      shards.changed = [0, 20];
      const loads = [
        { ...idle, dirty: 40, dirtyOfAll: 50, queued: 50 },
        { ...idle, shard: 1, dirty: 2, dirtyOfAll: 2 },
      ];
      // Those of the gates, and those after the comparison.
      shards.loads = [[idle], loads];
      const { predictedReadOnlyMs, dirty } = await stage.run();
      expect(dirty).toBe(42);
      const { readOnlyMs } = predictReadOnly({
        loads,
        verifyMs: 20 * dataLimits.unmeasuredRowMs,
        barrierMs: { from: 30, to: 50 },
        messageMs: 6,
        controlMs: 4,
        sending: { sendBatchMax: 100, sendsInFlightMax: 2 },
      });
      expect(predictedReadOnlyMs).toBe(readOnlyMs);
      const compared = stage.entries().find(({ step }) => step === "compared");
      expect(compared?.facts).toEqual({ changed: 20, dirty: 42, predictedReadOnlyMs: readOnlyMs });
    }));

  it("knows after a move how fast keys are compared under a block", () =>
    playMove(async (stage) => {
      expect(await stage.mover.call.verifyMs(100)).toBe(100 * dataLimits.unmeasuredRowMs);
      stage.shards.takesMs.verify = 500;
      stage.shards.verifications = [{ verified: 50, differing: 0, parts: [[part]] }];
      await stage.run();
      expect(await stage.mover.call.verifyMs(50)).toBeCloseTo(500, 0);
      expect(await stage.mover.call.verifyMs(500)).toBeGreaterThan(500);
    }));

  it("above the bound ends the move before it blocks, and says how long it would be", () =>
    playMove(async (stage) => {
      const many = { ...idle, dirty: 100_000, dirtyOfAll: 100_000 };
      stage.shards.loads = [[idle], [many]];
      const report = await aborts(
        stage,
        "100000 dirty keys, it would be read-only for about 101 s, at most 10 s",
      );
      expect(report.readOnlyMs).toBe(0);
      expect(stage.decision()?.withdrawn).toBe(true);
      expect(stage.steps()).not.toContain("blocking");
    }));

  it("at the bound of this move goes on, above it does not", () =>
    playMove(async (stage) => {
      const { predictedReadOnlyMs } = await stage.run({ rehearsal: true });
      expect(predictedReadOnlyMs).toBeGreaterThan(10);
      const below = { rehearsal: true, readOnlyMsMax: predictedReadOnlyMs - 1 };
      expect((await stage.run(below)).reason).toContain("it would be read-only for about");
      const atBound = { rehearsal: true, readOnlyMsMax: predictedReadOnlyMs };
      expect((await stage.run(atBound)).reason).not.toContain("it would be read-only");
    }));

  it("without an end says that the remote does not answer", () =>
    playMove(async (stage) => {
      stage.shards.loads = [[idle], [{ ...idle, dirty: 1, dirtyOfAll: 1, remoteAnswers: false }]];
      await aborts(stage, "1 dirty keys, it would be read-only until the remote answers, at most 10 s");
      const compared = stage.entries().find(({ step }) => step === "compared");
      expect(compared?.facts.predictedReadOnlyMs).toBe("no end");
    }));
});

describe("under the block", () => {
  it("it waits until every mark is confirmed or db_perror's", () =>
    playMove(async (stage) => {
      const perror = dataLimits.perrorPerMoveMax;
      const counts = { ...noCounts, marks: perror + 2, perror };
      stage.shards.counts = [
        noCounts,
        noCounts,
        counts,
        { ...counts, marks: perror + 1 },
        { ...counts, marks: perror },
      ];
      expect((await stage.run()).outcome).toBe("swapped");
      expect(stage.shards.asked.filter((what) => what === "counts")).toHaveLength(5);
      const pauses = stage.shards.asked.filter((what) => what.startsWith("pause "));
      expect(pauses).toEqual(["pause crawlers", "pause 10", "pause 10"]);
    }));

  it("too many keys in db_perror abort it", () =>
    playMove(async (stage) => {
      const perror = dataLimits.perrorPerMoveMax + 1;
      stage.shards.counts = [noCounts, noCounts, { ...noCounts, marks: perror, perror }];
      await aborts(stage, `${perror} keys in db_perror`);
    }));

  it.each<{ what: string; found: { shard: number; range: DirtyRange }[]; outcome: string }>([
    { what: "its own keys", found: [{ shard: 0, range }], outcome: "aborted" },
    { what: "others' keys", found: [], outcome: "swapped" },
  ])("a range of $what: it is $outcome", ({ found, outcome }) =>
    playMove(async (stage) => {
      const { shards } = stage;
      shards.counts = [noCounts, noCounts, { ...noCounts, ranges: 1 }];
      shards.ranges = [[], found];
      const report = await stage.run();
      expect(report.outcome).toBe(outcome);
      expect(report.reason).toBe(
        outcome === "swapped" ? "" : "+49: 1 range still copied or repaired: copy in shard 0 not begun",
      );
      expect(shards.asked.filter((what) => what === "ranges")).toHaveLength(2);
    }),
  );

  it("what differs is repaired and verified again, so many times", () =>
    playMove(async (stage) => {
      stage.shards.verifications = [
        { verified: 30, differing: 2, parts: [] },
        { verified: 5, differing: 0, parts: [[part]] },
      ];
      const report = await stage.run();
      expect(report).toMatchObject({ outcome: "swapped", verified: 30, compared: { rows: 1_000 } });
      const rounds = stage.entries().filter(({ step }) => step === "drained_and_verified");
      expect(rounds.map(({ facts }) => facts)).toEqual([
        { round: 1, verified: 30, differing: 2 },
        { round: 2, verified: 5, differing: 0 },
      ]);
    }));

  it("what differs still after the last round aborts it", () =>
    playMove(async (stage) => {
      stage.shards.verifications = [{ verified: 5, differing: 1, parts: [] }];
      const report = await aborts(stage, `keys still differ after ${dataLimits.verifyRoundsMax} rounds`);
      expect(report.compared).toBeNull();
      expect(stage.shards.asked.filter((what) => what === "verify")).toHaveLength(dataLimits.verifyRoundsMax);
    }));

  it("it is read-only no longer than it may be", () =>
    playMove(async (stage) => {
      stage.shards.takesMs.verify = 60_000;
      const report = await aborts(stage, "not ready to swap after 2 s of being read-only", {
        readOnlyMsMax: 2_000,
      });
      expect(report.readOnlyMs).toBeGreaterThanOrEqual(2_000);
      expect(report.readOnlyMs).toBeLessThan(2_100);
    }));

  it("a decision log that can't be written aborts it before the swap", () =>
    playMove(async (stage) => {
      losesEntry(stage, "drained_and_verified");
      const report = await stage.run();
      expect(report).toMatchObject({
        outcome: "aborted",
        reason: expect.stringContaining("control is away"),
      });
    }));
});
