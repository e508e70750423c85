/** db_module by itself: whom it asks, what it asks again and after how long, and what its callers get. */

import { describe, expect, it } from "vitest";
import { profilePicture } from "../../../actors/backends/profile_picture.ts";
import { DataAccess } from "../../../actors/data_access.ts";
import { db_module } from "../../../actors/db_module.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { consistentHash, type NanoError } from "../../../src/index.ts";
import {
  type Deed,
  ending,
  get,
  key,
  long,
  numberIn,
  pauseMs,
  platformRow,
  playModule,
  refusal,
  refuses,
  row,
  until,
  value,
  where,
} from "./module_stage.ts";

const other = numberIn(1);

function movedTo(site: string, term: number): NanoError {
  return refusal("moved", { site, term });
}

describe("a data access", () => {
  it("answers from the moment in which it is open", () =>
    playModule(async ({ platforms, desk, system }) => {
      const opened = await DataAccess.open(system, profilePicture, where);
      expect(system.whereis("profile_picture reads")).toBeDefined();
      expect(await opened.call.get({ key })).toEqual(value);
      desk.took();
      expect(await platforms.call.get({ key })).toEqual(value);
      expect(desk.took()).toEqual(["A/0 get"]);
      expect(await platforms.call.put({ key: other, value })).toBeNull();
      expect(desk.took()).toEqual(["A/1 write"]);
    }));

  it("says what it lacks of an operation that comes from outside", () =>
    playModule(
      async ({ platforms, blocks }) => {
        const unknown = platforms.run("burn", { key });
        await expect(unknown).rejects.toMatchObject({
          code: "bad_argument",
          details: { field: "operation" },
          message: expect.stringContaining("it has get, put, delete"),
        });
        // What an object has by birth is no operation.
        await expect(platforms.run("toString", { key })).rejects.toMatchObject({ code: "bad_argument" });
        for (const message of [null, undefined, "text", 5, {}, { key: 5 }])
          await expect(platforms.run("delete", message)).rejects.toMatchObject({
            code: "bad_argument",
            message: expect.stringMatching(/^device_platform/),
          });
        await expect(blocks.run("of", {})).rejects.toMatchObject({ details: { field: "member" } });
      },
      { routing: consistentHash() },
    ));

  it("of a backend that the thread does not know can't be opened", () =>
    playModule(async ({ system }) => {
      const opened = system.spawn(db_module, { ...where, backend: "paintings" });
      await expect(opened).rejects.toMatchObject({
        message: expect.stringContaining("known: device_platform, blocklist, public_keys, profile_picture"),
      });
    }));

  it("has writes of two keys under way beside each other, and of one key one after the other", () =>
    playModule(
      async ({ world, platforms, desk }) => {
        desk.answer = async (question) => {
          await world.sleep(100);
          return desk.served(question);
        };
        const puts = [key, other, key].map((each) => platforms.call.put({ key: each, value }, long));
        await world.sleep(50);
        expect(desk.took().sort()).toEqual(["A/0 write", "A/1 write"]);
        await Promise.all(puts);
        expect(desk.took()).toEqual(["A/0 write"]);
      },
      { writers: 4 },
    ));

  it("hands an amend to the shard as it is, and answers what it says", () =>
    playModule(async ({ oneTime, desk }) => {
      expect(await oneTime.call.take({ key, requestId: "r" })).toEqual({ id: "k1", value: Uint8Array.of(1) });
      const [asked] = desk.asked;
      expect(asked?.what).toBe("amend");
      expect(asked?.request).toMatchObject({
        backend: "public_keys",
        cohort: "public_keys/+49",
        key,
        operation: "one_time_keys.take",
      });
    }));

  it("refuses a write whose row is refused", () =>
    playModule(async ({ platforms, desk }) => {
      desk.answer = () => [{ ok: false, code: "held", message: "an operator has to look" }];
      await expect(platforms.call.put({ key, value })).rejects.toMatchObject({
        code: "held",
        message: "an operator has to look",
      });
    }));
});

/** Each writer hears by itself who serves. */
const oneWriter = { writers: 1 };

const put: Deed = ({ platforms }, options = long) => ending(platforms.call.put({ key, value }, options));
const list: Deed = ({ blocks }, options = long) => ending(blocks.call.list({ key }, options));

describe.each<{ what: string; deed: Deed; answer: unknown }>([
  { what: "get", deed: get, answer: value },
  { what: "scan", deed: list, answer: [] },
  { what: "write", deed: put, answer: null },
])("a $what", ({ what, deed, answer }) => {
  it("follows `moved`, and asks the site that serves from then on", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = (question) => {
        if (question.site === "A") throw movedTo("B", 5);
        return desk.served(question);
      };
      expect(await deed(stage)).toEqual(answer);
      expect(desk.took().map((each) => each.slice(0, 1))).toEqual(["A", "B"]);
      expect(await deed(stage)).toEqual(answer);
      expect(desk.took().map((each) => each.slice(0, 1))).toEqual(["B"]);
    }, oneWriter));

  it("waits for a swap that the new side has not heard of, with pauses", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      const servedFromMs = world.nowMs + 2.5 * pauseMs;
      desk.answer = (question) => {
        if (question.site === "A") throw movedTo("B", 5);
        if (world.nowMs < servedFromMs) throw movedTo("A", 4);
        return desk.served(question);
      };
      const { ended, ms } = await until(world, deed(stage));
      expect(ended).toEqual(answer);
      expect(ms).toBeGreaterThanOrEqual(2.5 * pauseMs);
      expect(desk.asked.length).toBeLessThan(8);
    }, oneWriter));

  it.each(["blocked", "fenced"])("waits while it is %s, with pauses", (code) =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, refusal(code));
      const waiting = until(world, deed(stage));
      await world.sleep(5 * pauseMs + 10);
      expect(desk.asked.length).toBeGreaterThan(3);
      expect(desk.asked.length).toBeLessThan(8);
      desk.answer = desk.served;
      const { ended, ms } = await waiting;
      expect(ended).toEqual(answer);
      expect(ms).toBeLessThan(8 * pauseMs);
    }),
  );

  it("waits for a shard that is away; meanwhile it asks the other site, too", () =>
    playModule(async (stage) => {
      const { desk, world, end, start } = stage;
      for (const site of where.sites) await end(site, 0);
      if (what === "scan") for (const site of where.sites) await end(site, 1);
      const waiting = deed(stage);
      await world.sleep(3 * pauseMs);
      expect(desk.asked).toEqual([]);
      await start("B", 0);
      if (what === "scan") await start("B", 1);
      expect(await waiting).toEqual(answer);
      // B is known to serve by now.
      expect(await deed(stage)).toEqual(answer);
      expect(desk.took().map((each) => each.slice(0, 1))).toEqual(["B", "B"]);
    }));

  it.each(["held", "rejected", "conflict", "timeout"])("that is refused as %s is not asked again", (code) =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, refusal(code, { sent: false }));
      expect(await deed(stage)).toBe(code);
      await world.sleep(10 * pauseMs);
      expect(desk.asked).toHaveLength(1);
    }),
  );

  it("whose caller is about to give up is refused with why, not timed out", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, refusal("blocked"));
      const timeoutMs = 10 * pauseMs;
      const { ended, ms } = await until(world, deed(stage, { timeoutMs }));
      expect(ended).toBe("blocked");
      expect(ms).toBeGreaterThan(timeoutMs - 2 * pauseMs - dataLimits.retryPauseMs);
      expect(ms).toBeLessThanOrEqual(timeoutMs);
    }));

  it("with no time left is asked once, also when it was moved", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      refuses(desk, movedTo("B", 5));
      expect(await deed(stage, { timeoutMs: dataLimits.retryPauseMs - 1 })).toBe("moved");
      expect(desk.asked).toHaveLength(1);
    }));
});

describe("what ended with nobody knowing how", () => {
  const crashed = refusal("crashed");

  it("is asked again if it was a read", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, crashed);
      const waiting = get(stage);
      await world.sleep(pauseMs / 2);
      desk.answer = desk.served;
      expect(await waiting).toEqual(value);
    }));

  it("is the caller's to know if it was a write; the next one asks the other site", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, crashed);
      expect(await put(stage)).toBe("crashed");
      await world.sleep(10 * pauseMs);
      expect(desk.took()).toEqual(["A/0 write"]);
      desk.answer = desk.served;
      expect(await put(stage)).toBeNull();
    }));

  it("is a call that may have reached a process which has ended since: a write is not sent again", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      refuses(desk, refusal("noproc", { sent: true }));
      expect(await put(stage)).toBe("noproc");
      await world.sleep(10 * pauseMs);
      expect(desk.asked).toHaveLength(1);
    }));

  it("is not what an operation throws by mistake: that ends the worker", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = () => 5;
      const ended = await put(stage);
      expect(ended).toBe("crashed");
      desk.answer = desk.served;
      expect(await put(stage)).toBeNull();
    }));
});

describe("the site that is asked", () => {
  it("is the other one when the first is silent, until that is heard from", () =>
    playModule(async (stage) => {
      const { desk, world } = stage;
      let silent = "A";
      desk.answer = (question) => {
        if (question.site === silent) throw refusal("unavailable");
        return desk.served(question);
      };
      expect(await get(stage)).toBe("unavailable");
      expect(await get(stage)).toEqual(value);
      await world.sleep(1);
      expect(await get(stage)).toEqual(value);
      expect(desk.took()).toEqual(["A/0 get", "B/0 get", "B/0 get"]);
      silent = "B";
      expect(await get(stage)).toBe("unavailable");
      expect(await get(stage)).toEqual(value);
      expect(desk.took()).toEqual(["B/0 get", "A/0 get"]);
    }));

  it("is the other one also when many asked the first at once", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = (question) => {
        if (question.site === "A") throw refusal("unavailable");
        return desk.served(question);
      };
      for (const ended of await Promise.all([get(stage), get(stage)])) expect(ended).toBe("unavailable");
      desk.took();
      expect(await get(stage)).toEqual(value);
      expect(desk.took()).toEqual(["B/0 get"]);
    }));

  it("is the one that is known to serve, when the other says that it does not", () =>
    playModule(async (stage) => {
      const { desk } = stage;
      desk.answer = () => {
        throw refusal("unavailable");
      };
      await get(stage);
      desk.answer = (question) => {
        if (question.site === "B") throw movedTo("A", 0);
        return desk.served(question);
      };
      expect(await get(stage)).toEqual(value);
      expect(desk.took()).toEqual(["A/0 get", "B/0 get", "A/0 get"]);
    }));

  it("of a cohort is its own: others are asked where they were", () =>
    playModule(async ({ platforms, desk }) => {
      desk.answer = (question) => {
        const { cohort } = question.request as { readonly cohort: string };
        if (cohort === "device_platform/+49" && question.site === "A") throw movedTo("B", 3);
        return desk.served(question);
      };
      await platforms.call.get({ key });
      desk.took();
      await platforms.call.get({ key: "+331" });
      expect(desk.took()[0]).toMatch(/^A/);
    }));

  it("of a range is asked for what lies in it", () =>
    playModule(async ({ blocks, desk }) => {
      desk.answer = () => [row(`blocklist\u0000${key}\u0000m`)];
      expect(await blocks.call.list({ key })).toEqual([{ member: "m", value }]);
      const [asked] = desk.asked;
      expect(asked?.request).toMatchObject({
        cohort: "blocklist/+49",
        range: { from: `blocklist\u0000${key}\u0000`, to: `blocklist\u0000${key}\u0001` },
        limit: dataLimits.rowsPerKeyMax,
      });
    }));

  it("of a row is asked for that row", () =>
    playModule(
      async ({ platforms, desk }) => {
        await platforms.call.get({ key });
        await platforms.call.put({ key, value, expiresAtMs: 5 });
        await platforms.call.delete({ key });
        expect(desk.asked.map(({ request }) => request)).toMatchObject([
          { cohort: "device_platform/+49", keys: [platformRow(key)] },
          { cohort: "device_platform/+49", rows: [{ key: platformRow(key), value, expiresAtMs: 5 }] },
          { cohort: "device_platform/+49", rows: [{ key: platformRow(key), value: null, expiresAtMs: 0 }] },
        ]);
      },
      { routing: consistentHash() },
    ));
});
