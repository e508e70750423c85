/** How db_module by itself keeps reads that wait, how many it takes, and how it looks things up. */

import { describe, expect, it } from "vitest";
import { dataLimits } from "../../../actors/limits.ts";
import { noReply } from "../../../src/index.ts";
import {
  type Deed,
  ending,
  get,
  key,
  long,
  type ModuleDesk,
  numberIn,
  pauseMs,
  playModule,
  refusal,
  refuses,
  until,
  value,
} from "./module_stage.ts";

const other = numberIn(1);

describe("reads that wait", () => {
  /** So many that one of them is tried again a good while later. */
  const many = 40;

  it("for one thing: one of them is tried at a time, and when it is answered all others go", () =>
    playModule(async (stage) => {
      const { desk, world, platforms, system } = stage;
      const reader = system.whereis("device_platform reads");
      refuses(desk, refusal("blocked"));
      const waiting = Array.from({ length: 10 }, () => get(stage));
      await world.sleep(pauseMs / 2);
      expect(desk.took()).toHaveLength(10);
      await world.sleep(5 * pauseMs);
      expect(desk.took().length).toBeLessThanOrEqual(5);
      // Another shard is another thing.
      desk.answer = (question) => {
        if (question.shard === 0) throw refusal("blocked");
        return desk.served(question);
      };
      expect(await platforms.call.get({ key: other })).toEqual(value);
      desk.answer = desk.served;
      desk.took();
      const { ms } = await until(world, Promise.all(waiting));
      expect(ms).toBeLessThan(2 * pauseMs);
      expect(desk.took()).toHaveLength(10);
      await world.sleep(10 * pauseMs);
      expect(desk.took()).toEqual([]);
      expect(system.whereis("device_platform reads")).toEqual(reader);
    }));

  it("no longer are no longer tried, and make room", () =>
    playModule(
      async (stage) => {
        const { desk, world, platforms } = stage;
        refuses(desk, refusal("blocked"));
        const canceled = new AbortController();
        const given = ending(platforms.call.get({ key }, { ...long, signal: canceled.signal }));
        const short = get(stage, { timeoutMs: 5 * pauseMs });
        await world.sleep(pauseMs / 2);
        expect(await get(stage)).toBe("overloaded");
        canceled.abort();
        expect(await given).toBe("canceled");
        await world.sleep(1);
        const third = get(stage);
        await world.sleep(1);
        expect(await get(stage)).toBe("overloaded");
        expect(await short).toBe("blocked");
        await world.sleep(2 * pauseMs);
        const fourth = get(stage);
        await world.sleep(1);
        desk.answer = desk.served;
        expect(await third).toEqual(value);
        expect(await fourth).toEqual(value);
        desk.took();
        await world.sleep(10 * pauseMs);
        expect(desk.took()).toEqual([]);
      },
      { readsMax: 2 },
    ));

  it("longer than their callers make room, and those without an end wait on", () =>
    playModule(
      async (stage) => {
        const { desk, world } = stage;
        refuses(desk, refusal("blocked"));
        const without = { timeoutMs: Number.POSITIVE_INFINITY };
        const endless = Array.from({ length: many }, () => get(stage, without));
        await world.sleep(1);
        // Its turn to be tried comes later.
        expect(await get(stage, { timeoutMs: 2 * dataLimits.retryPauseMs })).toBe("timeout");
        await world.sleep(2 * pauseMs);
        const next = get(stage);
        await world.sleep(1);
        desk.answer = desk.served;
        for (const answer of await Promise.all([...endless, next])) expect(answer).toEqual(value);
      },
      { readsMax: many + 1 },
    ));

  it.each<[string, (desk: ModuleDesk) => void, Deed]>([
    ["answered", (desk) => void desk.took(), get],
    ["refused", (desk) => refuses(desk, refusal("held")), get],
    ["looked up", (desk) => void desk.took(), ({ blocks }) => ending(blocks.call.of({ member: "m" }))],
    [
      "looked up in vain",
      (desk) => refuses(desk, refusal("unavailable")),
      ({ blocks }) => ending(blocks.call.of({ member: "m" })),
    ],
  ])("are so many at once; one that is %s makes room", (_, prepared, deed) =>
    playModule(
      async (stage) => {
        prepared(stage.desk);
        for (let n = 0; n < 5; n++) expect(await deed(stage)).not.toBe("overloaded");
        stage.desk.answer = () => noReply;
        const pending = deed(stage, long);
        await stage.world.sleep(1);
        expect(await deed(stage)).toBe("overloaded");
        const refused = stage.platforms.call.get({ key });
        if (deed === get)
          await expect(refused).rejects.toMatchObject({
            message: expect.stringContaining("1 reads are under way"),
            details: { field: "readsMax" },
          });
        else expect(await ending(refused)).not.toBe("overloaded");
        void pending;
      },
      { readsMax: 1 },
    ),
  );
});

describe("a lookup", () => {
  const of: Deed = ({ blocks }) => ending(blocks.call.of({ member: "+4930" }));

  it("asks every shard of both sites, and answers each key once, in order", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = ({ site, shard }) => (site === "A" ? [`k${3 - shard}`] : [`k${2 + shard}`, "k1"]);
      expect(await of(stage)).toEqual(["k1", "k2", "k3"]);
      expect(desk.took().sort()).toEqual(["A/0 lookup", "A/1 lookup", "B/0 lookup", "B/1 lookup"]);
    }));

  it("answers no more than it may", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      const keys = Array.from(
        { length: dataLimits.rowsPerKeyMax },
        (_, n) => `k${String(n).padStart(6, "0")}`,
      );
      desk.answer = ({ site, shard }) => (site === "A" && shard === 0 ? keys : ["j"]);
      const found = (await of(stage)) as string[];
      expect(found).toHaveLength(dataLimits.rowsPerKeyMax);
      expect(found.slice(0, 2)).toEqual(["j", "k000000"]);
    }));

  it("leaves out a site that does not answer; with none it says why", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = ({ site, shard }) => {
        if (site === "A" && shard === 1) throw refusal("unavailable");
        return [`${site}${shard}`];
      };
      expect(await of(stage)).toEqual(["B0", "B1"]);
      refuses(desk, refusal("unavailable"));
      expect(await of(stage)).toBe("unavailable");
    }));
});
