/** The breaker of db_replay alone: when it opens and closes, and what goes out meanwhile. */

import { describe, expect, it } from "vitest";
import { defaultTuning } from "../../../actors/shard_options.ts";
import { given, keyOf, msUntil, playReplay, type ReplayStage } from "./sender_stage.ts";

const [a, b, c] = ["a", "b", "c"].map(keyOf) as [string, string, string];

describe("the breaker", () => {
  const tuning = { breakerFailures: 2, peerTimeoutMs: 10, probeIntervalMs: 300, sendsInFlightMax: 1 };

  async function opened(stage: ReplayStage): Promise<void> {
    const { world, desk, played } = stage;
    desk.isSilent = true;
    await world.sleep(1);
    await given(stage, "a");
    expect((await played.call.statistics()).breaker).toBe("closed");
    await given(stage, "b");
    expect(desk.took("breaker")).toEqual([true]);
    expect((await played.call.statistics()).breaker).toBe("open");
    desk.took("release");
  }

  /** Asks for one row of the crawl; says whether it was granted. */
  function asksForRow({ played }: ReplayStage): () => boolean {
    let granted = false;
    void played.call.crawlShare({ rows: 1 }, { timeoutMs: 100_000 }).then(() => {
      granted = true;
    });
    return () => granted;
  }

  it("opens after so many batches without an answer, and nothing is asked for until a probe may go", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await opened(stage);
      expect(desk.ready).toBeUndefined();
      expect(await msUntil(world, () => desk.ready !== undefined)).toBeGreaterThan(200);
      expect(desk.ready?.limit).toBe(1);
      expect((await played.call.statistics()).breaker).toBe("half_open");
      // A probe without an answer opens it again.
      await given(stage, "a");
      expect(desk.took("breaker")).toEqual([true]);
      expect(desk.ready).toBeUndefined();
      expect((await played.call.statistics()).probes).toBe(1);
    }, tuning));

  it("is closed by a probe that is answered, and db_queuer hears of it", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await opened(stage);
      desk.isSilent = false;
      await msUntil(world, () => desk.ready !== undefined);
      await given(stage, "a");
      expect(desk.took("breaker")).toEqual([false]);
      expect(await played.call.statistics()).toMatchObject({ breaker: "closed", probes: 1, repaired: 1 });
      expect(desk.ready?.limit).toBe(128);
    }, tuning));

  it("is closed by an answer to db_queuer, and an answer of a part of a batch is one", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await opened(stage);
      played.cast.feedback({ answered: 0, unanswered: 0 });
      await world.sleep(1);
      expect((await played.call.statistics()).breaker).toBe("open");
      played.cast.feedback({ answered: 1, unanswered: 5 });
      await world.sleep(1);
      expect(desk.took("breaker")).toEqual([false]);
      played.cast.feedback({ answered: 0, unanswered: 5 });
      await world.sleep(1);
      expect((await played.call.statistics()).breaker).toBe("closed");
    }, tuning));

  it("counts neither a batch of nothing nor one that the peer refuses as a batch without an answer", () =>
    playReplay(
      async (stage) => {
        const { world, desk, played } = stage;
        desk.apply = (rows) => rows.map(() => ({ status: "fenced", scope: "shard/0", term: 9 }));
        await world.sleep(1);
        await given(stage, "a");
        expect(desk.took("release")).toEqual([[[a, "parked"]]]);
        expect(desk.took("renew")).toEqual([]);
        played.cast.feedback({ answered: 0, unanswered: 0 });
        await world.sleep(1);
        expect((await played.call.statistics()).breaker).toBe("closed");
        played.cast.feedback({ answered: 0, unanswered: 1 });
        await world.sleep(1);
        expect((await played.call.statistics()).breaker).toBe("open");
      },
      { ...tuning, breakerFailures: 1 },
    ));

  it("gives back what it got when it may not send any more; half-open all but one key", () =>
    playReplay(
      async (stage) => {
        const { world, desk, played } = stage;
        await world.sleep(1);
        desk.isSilent = true;
        played.cast.feedback({ answered: 0, unanswered: 1 });
        played.cast.feedback({ answered: 0, unanswered: 1 });
        await given(stage, "a", "b");
        expect(desk.took("release")).toEqual([
          [
            [a, "again"],
            [b, "again"],
          ],
        ]);
        expect(desk.took("apply")).toEqual([]);
        desk.isSilent = false;
        await msUntil(world, () => desk.ready !== undefined);
        await given(stage, "a", "b", "c");
        expect(desk.took("apply")).toEqual([[[a]]]);
        expect(desk.took("release")).toEqual([
          [
            [b, "again"],
            [c, "again"],
          ],
          [[a, "confirmed"]],
        ]);
      },
      { ...tuning, sendsInFlightMax: 2 },
    ));

  it("holds the crawler while it is open, and lets one stretch probe if no key is ready", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await opened(stage);
      const granted: number[] = [];
      for (const rows of [1, 2, 3])
        void played.call.crawlShare({ rows }, { timeoutMs: 100_000 }).then(() => granted.push(rows));
      await world.sleep(200);
      expect(granted).toEqual([]);
      await msUntil(world, () => desk.ready !== undefined);
      expect(granted).toEqual([]);
      await world.sleep(200);
      expect(granted.length).toBeGreaterThan(0);
      // Closed, all of them go.
      played.cast.feedback({ answered: 1, unanswered: 0 });
      await world.sleep(50);
      expect(granted).toEqual([1, 2, 3]);
    }, tuning));

  it("half-open, a stretch leaves ready keys the time to go first", () =>
    playReplay(async (stage) => {
      const { world, desk } = stage;
      await opened(stage);
      await msUntil(world, () => desk.ready !== undefined);
      await world.sleep(100);
      const isGranted = asksForRow(stage);
      await world.sleep(defaultTuning.backoffMinMs - 10);
      expect(isGranted()).toBe(false);
      await world.sleep(20);
      expect(isGranted()).toBe(true);
    }, tuning));

  it("half-open, a stretch waits for the probe that is under way", () =>
    playReplay(async (stage) => {
      const { world, desk } = stage;
      await opened(stage);
      await msUntil(world, () => desk.ready !== undefined);
      desk.isSilent = false;
      desk.apply = async (rows) => {
        await world.sleep(8);
        return rows.map(() => ({ status: "applied" }));
      };
      const isGranted = asksForRow(stage);
      // The ready key is under way when the stretch's time has come.
      await world.sleep(defaultTuning.backoffMinMs - 3);
      stage.give("a");
      await world.sleep(6);
      expect(isGranted()).toBe(false);
      await world.sleep(20);
      expect(isGranted()).toBe(true);
    }, tuning));
});
