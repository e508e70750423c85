/** db_replay alone: when it asks for keys, and what becomes of those that it gets. */

import { describe, expect, it } from "vitest";
import { dataLimits } from "../../../actors/limits.ts";
import type { ApplyResult } from "../../../actors/store_messages.ts";
import { NanoError } from "../../../src/index.ts";
import { given, keyOf, msUntil, playReplay } from "./sender_stage.ts";

const [a, b] = ["a", "b"].map(keyOf) as [string, string];
const version = [3, 5, 1] as const;
const rejected: ApplyResult = { status: "rejected", code: "full" };

describe("repairs", () => {
  it("of what is ready are sent, and the next ones asked for", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await world.sleep(1);
      expect(desk.took("disown")).toEqual(["replay"]);
      expect(desk.ready?.limit).toBe(128);
      await given(stage, "a", "b");
      expect(desk.took("apply")).toEqual([[[a, b]]]);
      expect(desk.took("release")).toEqual([
        [
          [a, "confirmed"],
          [b, "confirmed"],
        ],
      ]);
      for (const silent of ["renew", "quarantine", "left", "breaker"]) expect(desk.took(silent)).toEqual([]);
      expect(desk.ready?.limit).toBe(128);
      expect(await played.call.statistics()).toMatchObject({
        breaker: "closed",
        parked: 0,
        inFlight: 0,
        attempts: 2,
        repaired: 2,
        probes: 0,
      });
    }));

  it("go side by side, so many batches at once", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      desk.apply = async (rows) => {
        await world.sleep(500);
        return rows.map(() => ({ status: "applied" }));
      };
      await world.sleep(1);
      await given(stage, "a");
      expect(desk.ready).toBeDefined();
      await given(stage, "b");
      expect(desk.ready).toBeUndefined();
      expect((await played.call.statistics()).inFlight).toBe(2);
      await world.sleep(2_000);
      expect(desk.ready).toBeDefined();
      expect((await played.call.statistics()).inFlight).toBe(0);
    }));

  it("are asked for once at a time, and while nothing may go there is no looking whether it may", () =>
    playReplay(
      async (stage) => {
        const { world, desk, played } = stage;
        await world.sleep(1);
        await played.call.setRate({ repairs: 100, crawl: 1 });
        await world.sleep(10);
        expect(desk.took("takeReady")).toHaveLength(1);
        desk.isSilent = true;
        await given(stage, "a");
        const { events } = world.timeline;
        await world.sleep(1_000);
        expect(world.timeline.events - events).toBe(1);
      },
      { sendsInFlightMax: 1, peerTimeoutMs: 60_000 },
    ));

  it("tell db_perror what is healed, and nothing if nothing is", () =>
    playReplay(async (stage) => {
      const { world, desk } = stage;
      const cleared = [
        { key: a, version, healed: true },
        { key: b, version, healed: false },
      ];
      desk.released = () => ({ again: [], cleared });
      await world.sleep(1);
      await given(stage, "a", "b");
      expect(desk.took("left")).toEqual([[a]]);
      desk.released = () => ({ again: [], cleared: cleared.slice(1) });
      await given(stage, "b");
      expect(desk.took("left")).toEqual([]);
    }));

  it("that need a fresh version ask for it, and wait for it parked", () =>
    playReplay(async (stage) => {
      const { world, desk } = stage;
      desk.apply = (rows) =>
        rows.map(({ key }) => (key === a ? { status: "stale", current: version } : { status: "applied" }));
      await world.sleep(1);
      await given(stage, "a", "b");
      expect(desk.took("renew")).toEqual([[a]]);
      expect(desk.took("release")).toEqual([
        [
          [a, "parked"],
          [b, "confirmed"],
        ],
      ]);
    }));
});

describe("the rate", () => {
  it("says how many go at once, and when the next one does", () =>
    playReplay(
      async (stage) => {
        const { world, desk } = stage;
        await world.sleep(1);
        expect(desk.ready?.limit).toBe(1);
        await given(stage, "a");
        expect(desk.ready).toBeUndefined();
        expect(await msUntil(world, () => desk.ready !== undefined)).toBeCloseTo(80, -1);
      },
      { repairsPerSecond: 10 },
    ));

  it("of 0 stops repairs, those that were asked for as well, until there is one again", () =>
    playReplay(async (stage) => {
      const { world, desk, played } = stage;
      await world.sleep(1);
      // Tokens that were saved up are gone, too.
      await played.call.setRate({ repairs: 0, crawl: 0 });
      await given(stage, "a", "b");
      expect(desk.took("apply")).toEqual([]);
      expect(desk.took("release")).toEqual([
        [
          [a, "again"],
          [b, "again"],
        ],
      ]);
      await world.sleep(10_000);
      expect(desk.ready).toBeUndefined();
      await played.call.setRate({ repairs: 50, crawl: 0 });
      expect(await msUntil(world, () => desk.ready !== undefined)).toBeLessThan(50);
      expect((await played.call.statistics()).repairsPerSecond).toBe(50);
    }));

  it.each([
    ["repairs", { repairs: -1, crawl: 1 }],
    ["repairs", { repairs: Number.NaN, crawl: 1 }],
    ["repairs", { repairs: Number.POSITIVE_INFINITY, crawl: 1 }],
    ["crawl", { repairs: 1, crawl: -0.1 }],
  ])("%s of %o is refused, and changes nothing", (field, rate) =>
    playReplay(async ({ played }) => {
      const refused = { code: "bad_argument", details: { field } };
      await expect(played.call.setRate(rate)).rejects.toMatchObject(refused);
      expect((await played.call.statistics()).repairsPerSecond).toBe(5_000);
    }),
  );

  it("of crawled rows holds the crawler, and what waits goes when a new rate lets it", () =>
    playReplay(
      async ({ world, played }) => {
        const granted: string[] = [];
        const ask = (name: string, rows: number): void => {
          void played.call.crawlShare({ rows }, { timeoutMs: 100_000 }).then(() => granted.push(name));
        };
        ask("first", 30);
        ask("second", 1);
        ask("third", 1);
        await world.sleep(10);
        expect(granted).toEqual(["first"]);
        // The first has gone into debt.
        expect(await msUntil(world, () => granted.length > 1)).toBeGreaterThan(150);
        await world.sleep(20);
        expect(granted).toEqual(["first", "second", "third"]);
        await played.call.setRate({ repairs: 1, crawl: 0 });
        ask("fourth", 1);
        await world.sleep(10_000);
        expect(granted).toHaveLength(3);
        await played.call.setRate({ repairs: 1, crawl: 100 });
        await world.sleep(100);
        expect(granted).toHaveLength(4);
      },
      { crawlRowsPerSecond: 100 },
    ));
});

describe("the crawl's rate", () => {
  it("of 0 is waited for with one timer, however many wait, and with none if nobody does", () =>
    playReplay(async ({ world, played }) => {
      await world.sleep(1);
      const eventsOf = async (ms: number): Promise<number> => {
        const { events } = world.timeline;
        await world.sleep(ms);
        return world.timeline.events - events;
      };
      await played.call.setRate({ repairs: 0, crawl: 0 });
      await world.sleep(10);
      const lookMs = dataLimits.tokenWaitMsMax;
      const looks = 10;
      expect(await eventsOf(looks * lookMs)).toBeLessThan(looks);
      for (let n = 0; n < 20; n++) void played.call.crawlShare({ rows: 1 }, { timeoutMs: 100 * lookMs });
      await world.sleep(10);
      // A look is a timer and a turn.
      expect(await eventsOf(looks * lookMs)).toBeLessThanOrEqual(2 * looks + 2);
    }));
});

describe("what the peer rejects", () => {
  it("is tried so often, and then goes to db_perror with why and how often", () =>
    playReplay(
      async (stage) => {
        const { world, desk } = stage;
        desk.apply = (rows) => rows.map(({ key }) => (key === a ? rejected : { status: "applied" }));
        await world.sleep(1);
        await given(stage, "a", "b");
        expect(desk.took("release")).toEqual([
          [
            [a, "parked"],
            [b, "confirmed"],
          ],
        ]);
        expect(desk.took("quarantine")).toEqual([]);
        await given(stage, "a");
        expect(desk.took("quarantine")).toMatchObject([[{ key: a, version, reason: "full", attempts: 2 }]]);
        expect(desk.took("release")).toEqual([[[a, "again"]]]);
        // Whatever comes of it later begins anew.
        await given(stage, "a");
        expect(desk.took("quarantine")).toEqual([]);
        expect(desk.took("release")).toEqual([[[a, "parked"]]]);
      },
      { rejectionsMax: 2 },
    ));

  it("stays with it while db_perror is full", () =>
    playReplay(
      async (stage) => {
        const { world, desk, played } = stage;
        desk.apply = (rows) => rows.map(({ key }) => (key === a ? rejected : { status: "applied" }));
        desk.quarantine = () => {
          throw new NanoError("overloaded", "full");
        };
        await world.sleep(1);
        await given(stage, "a", "b");
        expect(desk.took("release")).toEqual([
          [
            [a, "parked"],
            [b, "confirmed"],
          ],
        ]);
        expect((await played.call.statistics()).parked).toBe(1);
        await world.eventually("it is tried again", () => desk.took("unpark").length > 0, 1_000);
        desk.quarantine = () => undefined;
        desk.took("quarantine");
        await given(stage, "a");
        expect(desk.took("quarantine")).toMatchObject([[{ key: a, attempts: 3 }]]);
        expect(desk.took("release")).toEqual([[[a, "again"]]]);
      },
      { rejectionsMax: 1 },
    ));

  it("is counted anew once the key was confirmed", () =>
    playReplay(
      async (stage) => {
        const { world, desk } = stage;
        const answers: ApplyResult[] = [rejected, { status: "applied" }, rejected, rejected];
        desk.apply = () => answers.splice(0, 1);
        await world.sleep(1);
        for (const quarantined of [0, 0, 0, 1]) {
          await given(stage, "a");
          expect(desk.took("quarantine")).toHaveLength(quarantined);
        }
      },
      { rejectionsMax: 2 },
    ));

  it("and db_perror can't take ends it", () =>
    playReplay(
      async (stage) => {
        const { world, desk, system, name } = stage;
        desk.apply = () => [rejected];
        desk.quarantine = () => {
          throw new NanoError("unavailable", "its log is away");
        };
        await world.sleep(1);
        await given(stage, "a");
        expect(system.whereis(name)).toBeUndefined();
      },
      { rejectionsMax: 1 },
    ));
});

describe("a key that is parked", () => {
  it("is ready again within its backoff, which doubles with each failure up to the longest", () =>
    playReplay(
      async (stage) => {
        const { world, desk } = stage;
        desk.apply = () => [{ status: "fenced", scope: "shard/0", term: 9 }];
        await world.sleep(1);
        for (const ceilingMs of [200, 400, 800, 1_000, 1_000]) {
          stage.give("a");
          await world.eventually("it was tried", () => desk.took("release").length > 0, 100);
          const ms = await msUntil(world, () => desk.took("unpark").length > 0);
          expect(ms).toBeLessThanOrEqual(ceilingMs + 1);
        }
      },
      { backoffMinMs: 100, backoffMaxMs: 1_000 },
    ));

  it("waits for no other: each has its own time", () =>
    playReplay(
      async (stage) => {
        const { world, desk, played } = stage;
        desk.apply = (rows) => rows.map(() => ({ status: "fenced", scope: "shard/0", term: 9 }));
        const names = Array.from({ length: 40 }, (_, i) => `${i}`);
        await world.sleep(1);
        await given(stage, ...names);
        expect((await played.call.statistics()).parked).toBeGreaterThan(30);
        const unparked = new Set<string>();
        const at: number[] = [];
        while (unparked.size < names.length) {
          await world.sleep(1);
          for (const keys of desk.took("unpark") as string[][]) {
            for (const key of keys) unparked.add(key);
            at.push(world.nowMs);
          }
        }
        // Full jitter: they come one by one, all over the time.
        expect(at.length).toBeGreaterThan(25);
        expect((await played.call.statistics()).parked).toBe(0);
        await world.sleep(5_000);
        expect(desk.took("unpark")).toEqual([]);
      },
      { backoffMinMs: 1_000, backoffMaxMs: 30_000 },
    ));
});
