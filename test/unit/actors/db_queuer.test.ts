/** db_queuer alone: what it asks of its neighbours, and what it makes of their answers. */

import { describe, expect, it } from "vitest";
import { defaultTuning } from "../../../actors/shard_options.ts";
import type { ApplyResult } from "../../../actors/store_messages.ts";
import { grants, keyOf, playQueuer, takenOf } from "./sender_stage.ts";

const [a, b, c, d] = ["a", "b", "c", "d"].map(keyOf) as [string, string, string, string];
const version = [3, 5, 1] as const;

describe("db_queuer", () => {
  it("sends what it is given, gives the lanes back, and tells db_replay that the peer answers", () =>
    playQueuer(async ({ world, desk, played }) => {
      expect(desk.took("disown")).toEqual(["queuer"]);
      played.cast.push([a, b]);
      await world.sleep(100);
      expect(desk.took("take")).toEqual([[a, b]]);
      expect(desk.took("apply")).toEqual([[[a, b]]]);
      expect(desk.took("release")).toEqual([
        [
          [a, "confirmed"],
          [b, "confirmed"],
        ],
      ]);
      expect(desk.took("feedback")).toEqual([{ answered: 2, unanswered: 0 }]);
      for (const silent of ["own", "left", "renew"]) expect(desk.took(silent)).toEqual([]);
      expect(await played.call.statistics()).toMatchObject({
        waiting: 0,
        inFlight: 0,
        sent: 2,
        discarded: 0,
      });
    }));

  it("asks again for a key whose lane another has, a backoff later, and for nothing else", () =>
    playQueuer(async ({ world, desk, played }) => {
      let isBusy = true;
      desk.take = (keys) => {
        const busy = isBusy ? keys.filter((key) => key === b) : [];
        const taken = keys.filter((key) => !busy.includes(key)).map((key) => ({ ...takenOf(""), key }));
        return { taken, busy };
      };
      played.cast.push([a, b]);
      await world.sleep(defaultTuning.backoffMinMs * 2.5);
      expect(desk.took("take")).toEqual([[a, b], [b], [b]]);
      isBusy = false;
      await world.sleep(defaultTuning.backoffMinMs * 2.5);
      expect(desk.took("take")).toEqual([[b]]);
      expect(desk.took("apply")).toEqual([[[a]], [[b]]]);
      expect((await played.call.statistics()).inFlight).toBe(0);
    }));

  it("sends again what changed meanwhile, and tells db_perror what is healed", () =>
    playQueuer(async ({ world, desk, played }) => {
      const cleared = [
        { key: b, version, healed: true },
        { key: c, version, healed: false },
      ];
      const answers = [
        { again: [a], cleared },
        { again: [], cleared: [{ key: a, version, healed: false }] },
      ];
      desk.released = () => answers.shift() ?? { again: [], cleared: [] };
      played.cast.push([a, b, c]);
      await world.sleep(100);
      expect(desk.took("apply")).toEqual([[[a, b, c]], [[a]]]);
      expect(desk.took("left")).toEqual([[b]]);
    }));

  it("hands what failed to db_replay before it gives the lanes back, and has a version renewed where it must be", () =>
    playQueuer(async ({ world, desk, played }) => {
      const results: ApplyResult[] = [
        { status: "applied" },
        { status: "rejected", code: "full" },
        { status: "fenced", scope: "shard/0", term: 9 },
        // One version, other bytes.
        { status: "stale", current: version },
      ];
      desk.apply = () => results;
      played.cast.push([a, b, c, d]);
      await world.sleep(100);
      const order = desk.asked.map(({ what }) => what);
      expect(order.indexOf("own")).toBeLessThan(order.indexOf("release"));
      expect(desk.took("own")).toEqual([[b, c, d]]);
      expect(desk.took("renew")).toEqual([[d]]);
      expect(desk.took("release")).toEqual([
        [
          [a, "confirmed"],
          [b, "again"],
          [c, "again"],
          [d, "again"],
        ],
      ]);
      expect(desk.took("feedback")).toEqual([{ answered: 4, unanswered: 0 }]);
    }));

  it("says of a batch without an answer that none of it was answered", () =>
    playQueuer(async ({ world, system, desk, played }) => {
      await system.stopProcess(system.whereis("peer") as never);
      played.cast.push([a, b]);
      await world.sleep(100);
      expect(desk.took("feedback")).toEqual([{ answered: 0, unanswered: 2 }]);
      expect(desk.took("own")).toEqual([[a, b]]);
    }));

  it("fences the peer once for each term, before the first row", () =>
    playQueuer(async ({ world, desk, played }) => {
      played.cast.push([a]);
      await world.sleep(100);
      played.cast.push([b]);
      await world.sleep(100);
      const order = desk.asked.map(({ what }) => what).filter((what) => what === "fence" || what === "apply");
      expect(order).toEqual(["fence", "fence", "apply", "apply"]);
      expect(desk.took("fence")).toEqual(grants.map(({ scope }) => scope));
    }));
});

describe("the bounds of db_queuer", () => {
  it("so many batches of so many keys are out; the others wait, each once", () =>
    playQueuer(
      async ({ world, desk, played }) => {
        desk.take = () => ({ taken: [], busy: [] });
        played.cast.push([a, b, c, a]);
        expect(await played.call.statistics()).toMatchObject({ waiting: 1, inFlight: 1 });
        await world.sleep(10);
        expect(desk.took("take")).toEqual([[a, b], [c]]);
        expect(await played.call.statistics()).toMatchObject({ waiting: 0, inFlight: 0 });
      },
      { sendBatchMax: 2, sendsInFlightMax: 1 },
    ));

  it("a full queue hands what is new to db_replay, and takes again what waits already", () =>
    playQueuer(
      async ({ world, desk, played }) => {
        played.cast.push([a, b, c, d, b]);
        await world.sleep(100);
        expect(desk.took("own")).toEqual([[c, d]]);
        expect(desk.took("apply")).toEqual([[[a, b]]]);
        expect((await played.call.statistics()).discarded).toBe(2);
      },
      { queueMax: 2 },
    ));
});

describe("the breaker, for db_queuer", () => {
  const opened = { type: "breaker", open: true };
  const closed = { type: "breaker", open: false };

  it("while it is open nothing is taken: db_replay has what waited and what comes", () =>
    playQueuer(
      async ({ world, system, desk, played, name }) => {
        desk.take = () => ({ taken: [], busy: [] });
        played.cast.push([a, b]);
        system.send(name, opened);
        await world.sleep(1);
        played.cast.push([c]);
        await world.sleep(100);
        expect(desk.took("take")).toEqual([[a]]);
        expect(desk.took("own")).toEqual([[b], [c]]);
        system.send(name, closed);
        await world.sleep(1);
        played.cast.push([d]);
        await world.sleep(100);
        expect(desk.took("take")).toEqual([[d]]);
        expect((await played.call.statistics()).discarded).toBe(0);
      },
      { sendBatchMax: 1, sendsInFlightMax: 1 },
    ));

  it("is what any other message leaves as it is", () =>
    playQueuer(async ({ world, system, desk, played, name }) => {
      system.send(name, opened);
      system.send(name, "hello");
      await world.sleep(1);
      played.cast.push([a]);
      await world.sleep(100);
      expect(desk.took("take")).toEqual([]);
    }));

  it.each(["open", "half_open"] as const)("that is %s when it starts is open for it", (breaker) =>
    playQueuer(
      async ({ world, desk, played }) => {
        played.cast.push([a]);
        await world.sleep(100);
        expect(desk.took("take")).toEqual([]);
        expect(desk.took("own")).toEqual([[a]]);
      },
      {},
      (desk) => {
        desk.breaker = breaker;
      },
    ),
  );
});
