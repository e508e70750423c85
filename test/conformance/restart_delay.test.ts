/** Restarts that wait (asked for in erlang/otp#1287), in virtual time. */

import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { restartDelayMs } from "../../src/core/restart_delay.ts";
import { supervisorSpec } from "../../src/index.ts";
import { resetScript, script, scripted } from "./otp_children.ts";
import { end, pidOf, pids, play, type Supervisor, spec, start } from "./otp_tree.ts";

beforeEach(resetScript);

const delay = { min: 1_000, max: 8_000 };

async function shown(sup: Supervisor): Promise<[string, boolean, boolean][]> {
  const children = await sup.call.whichChildren();
  return children.map(({ id, pid, restarting }) => [id, pid !== undefined, restarting]);
}

describe("a restart delay", () => {
  it("keeps a child away for at least its least time, shown as restarting, and no longer than allowed", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { children: [spec("a"), spec("b")], restartDelayMs: delay });
      const before = await pids(sup);
      await end(system, sup, "a", "abnormal");
      await world.sleep(999);
      expect(await shown(sup)).toEqual([
        ["a", false, true],
        ["b", true, false],
      ]);
      await world.sleep(1_010);
      expect(await shown(sup)).toEqual([
        ["a", true, false],
        ["b", true, false],
      ]);
      const after = await pids(sup);
      expect(after.b).toEqual(before.b);
      expect(after.a).not.toEqual(before.a);
    }));

  it("does not keep a normal end of a transient child, nor a first start, waiting", () =>
    play(async (system, world) => {
      const beganMs = world.nowMs;
      const { sup } = await start(system, {
        children: [spec("a", { restart: "transient" })],
        restartDelayMs: delay,
      });
      await end(system, sup, "a", "normal");
      await world.sleep(10);
      expect(await shown(sup)).toEqual([["a", false, false]]);
      await sup.call.restartChild("a");
      expect(await shown(sup)).toEqual([["a", true, false]]);
      expect(world.nowMs - beganMs).toBeLessThan(1_000);
    }));

  it.each([
    ["one_for_all", ["c", "a"], ["a", "b", "c"]],
    ["rest_for_one", ["c"], ["b", "c"]],
  ] as const)(
    "under %s stops those who depend on the child at once, and starts all of them after it",
    (...row) =>
      play(async (system, world) => {
        const [strategy, stopped, started] = row;
        const children = [spec("a"), spec("b"), spec("c")];
        const { sup } = await start(system, { strategy, children, restartDelayMs: delay });
        script.history.length = 0;
        await end(system, sup, "b", "abnormal");
        await world.sleep(900);
        expect(script.history).toEqual(["end b", ...stopped.map((id) => `end ${id}`)]);
        script.history.length = 0;
        await world.sleep(2_000);
        expect(script.history).toEqual(started.map((id) => `start ${id}`));
        expect(await sup.call.countChildren()).toMatchObject({ active: 3 });
      }),
  );

  it("ends when the child is terminated: it does not come back", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { children: [spec("a")], restartDelayMs: delay });
      const former = await pidOf(sup, "a");
      await end(system, sup, "a", "abnormal");
      await world.sleep(100);
      await expect(sup.call.restartChild("a")).rejects.toMatchObject({ code: "restarting" });
      await sup.call.terminateChild(former);
      script.history.length = 0;
      await world.sleep(20_000);
      expect(script.history).toEqual([]);
      expect(await shown(sup)).toEqual([["a", false, false]]);
    }));

  it("counts against the intensity like any restart, and the last one too many waits for nothing", () =>
    play(async (system, world) => {
      const { sup, ended } = await start(system, {
        intensity: 2,
        children: [spec("a")],
        restartDelayMs: { min: 10, max: 20 },
      });
      for (let round = 0; round < 2; round++) {
        await end(system, sup, "a", "abnormal");
        await world.sleep(30);
        expect(await ended()).toBeUndefined();
      }
      await end(system, sup, "a", "abnormal");
      await world.sleep(2);
      expect(await ended()).toMatchObject({ crash: { message: expect.stringContaining("child a") } });
    }));

  it("erlang/otp#1287, comedy#35: spreads the restarts of children that failed together (issues)", () =>
    play(async (system, world) => {
      const ids = Array.from({ length: 20 }, (_, index) => `c${index}`);
      const children = ids.map((id) => spec(id));
      const { sup } = await start(system, {
        intensity: 100,
        children,
        restartDelayMs: { min: 100, max: 10_000 },
      });
      for (const id of ids) system.ref(scripted, await pidOf(sup, id)).cast.end("abnormal");
      const back: number[] = [];
      for (let round = 0; round < 100; round++) {
        await world.sleep(100);
        back.push((await sup.call.countChildren()).active);
      }
      // Between nobody and all of them there are steps.
      expect(new Set(back).size).toBeGreaterThan(5);
      expect(back.at(-1)).toBe(20);
    }));

  it("lies between its bounds whatever the chance, is never below the least, and reaches the most", () => {
    const numbers = fc.record({
      min: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
      more: fc.double({ min: 0, max: 1e6, noNaN: true }),
      nth: fc.integer({ min: 1, max: 2_000 }),
      chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(numbers, ({ min, more, nth, chance }) => {
        const max = min + more;
        const ms = restartDelayMs({ min, max }, nth, chance);
        expect(ms).toBeGreaterThanOrEqual(min);
        expect(ms).toBeLessThanOrEqual(max);
      }),
    );
    expect(restartDelayMs({ min: 1, max: 100 }, 1, 0.5)).toBe(1.5);
    expect(restartDelayMs({ min: 1, max: 100 }, 3, 0.5)).toBe(4.5);
    expect(restartDelayMs({ min: 1, max: 100 }, 30, 0.5)).toBe(50.5);
  });

  it.each([
    { min: 0, max: 1 },
    { min: 2, max: 1 },
    { min: Number.NaN, max: 1 },
    { min: 1, max: Number.POSITIVE_INFINITY },
    { min: 1 } as { min: number; max: number },
  ])("of %o is refused", (restartDelayMs) => {
    expect(() => supervisorSpec({ children: [], restartDelayMs })).toThrow(
      expect.objectContaining({ code: "bad_argument", details: { field: "restartDelayMs" } }),
    );
  });
});
