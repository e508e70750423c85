/**
 * A supervisor that gets another spec while it runs (OTP's supervisor_SUITE: code_change), by name, in virtual time.
 */

import { beforeEach, describe, expect, it } from "vitest";
import { type SupervisorSpec, supervisorSpec } from "../../src/index.ts";
import { resetScript, script, scripted } from "./otp_children.ts";
import { changed, end, pidOf, pids, play, spec, start } from "./otp_tree.ts";

beforeEach(resetScript);

function changedTo(options: Partial<SupervisorSpec>): SupervisorSpec {
  return supervisorSpec({ children: [], periodMs: 3_600_000, ...options });
}

describe("code_change", () => {
  it("code_change: new flags hold at once, for restarts that were counted before, too (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("a"), spec("b")];
      const { sup, ended } = await start(system, { intensity: 2, children });
      for (let round = 0; round < 2; round++) {
        await end(system, sup, "a", "abnormal");
        await world.idle();
      }
      await sup.call.changeSpec(changedTo({ strategy: "one_for_all", intensity: 3, children }));
      const before = await pids(sup);
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(await changed(sup, before)).toEqual(["a", "b"]);
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(await ended()).toMatchObject({
        crash: { message: expect.stringContaining("more than 3 restarts") },
      });
    }));

  it("changeChild: a child keeps its process and has its new spec from its next start on; a wrong one is refused", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { children: [spec("a"), spec("b")] });
      const before = await pids(sup);
      const renewed = { ...spec("b"), options: { id: "b", extra: "new" } };
      await expect(sup.call.changeChild({ ...renewed, id: "c" })).rejects.toMatchObject({
        code: "not_found",
      });
      await expect(sup.call.changeChild({ ...renewed, shutdownMs: -1 })).rejects.toMatchObject({
        code: "bad_argument",
        details: { field: "shutdownMs" },
      });
      expect(await sup.call.getChildSpec("b")).toMatchObject({ options: spec("b").options });
      await sup.call.changeChild(renewed);
      expect(await changed(sup, before)).toEqual([]);
      await end(system, sup, "b", "abnormal");
      await world.idle();
      expect(await changed(sup, before)).toEqual(["b"]);
      expect(await sup.call.getChildSpec("b")).toMatchObject({ options: { extra: "new" } });
    }));

  it("code_change_map: a child keeps its process and has its new spec from its next start on (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { children: [spec("a"), spec("b")] });
      const before = await pids(sup);
      const renewed = { ...spec("b", { restart: "transient" as const }), options: { id: "b", extra: "new" } };
      await sup.call.changeSpec(changedTo({ children: [spec("c"), renewed] }));
      expect(await changed(sup, before)).toEqual([]);
      expect(script.history).toEqual(["start a", "start b"]);
      // The new order; what is not named any more stays, behind the others; what is new waits for its start.
      expect(await sup.call.whichChildren()).toMatchObject([
        { id: "c", pid: undefined, restarting: false },
        { id: "b", pid: before.b, restart: "transient" },
        { id: "a", pid: before.a },
      ]);
      await sup.call.restartChild("c");
      await end(system, sup, "b", "abnormal");
      await world.idle();
      const b = system.ref(scripted, await pidOf(sup, "b"));
      expect(await b.call.options()).toEqual({ id: "b", extra: "new" });
      b.cast.end("normal");
      await world.idle();
      expect(await sup.call.countChildren()).toMatchObject({ specs: 3, active: 2 });
      await sup.call.terminateChild("a");
      await sup.call.deleteChild("a");
      expect(Object.keys(await pids(sup))).toEqual(["c", "b"]);
    }));

  it.each([
    ["strategy", { strategy: "two_for_one" }],
    ["strategy", { strategy: "simple_one_for_one", children: [spec("a")] }],
    ["intensity", { intensity: -1 }],
    ["children", { children: [spec("a"), spec("a")] }],
    ["children", { children: [undefined] }],
    ["restart", { children: [{ ...spec("a"), restart: "sometimes" }] }],
    ["significant", { children: [spec("a", { restart: "transient", significant: true })] }],
  ])("code_change_map: a spec with a wrong %s changes nothing (supervisor_SUITE)", (field, wrong) =>
    play(async (system, world) => {
      const { sup, ended } = await start(system, { children: [spec("a"), spec("b")] });
      const before = await sup.call.whichChildren();
      const faulty = { ...changedTo({}), ...wrong } as unknown as SupervisorSpec;
      await expect(sup.call.changeSpec(faulty)).rejects.toMatchObject({
        code: "bad_argument",
        details: { field },
      });
      expect(await sup.call.whichChildren()).toEqual(before);
      expect(await sup.call.getChildSpec("a")).toEqual(spec("a"));
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(await sup.call.countChildren()).toMatchObject({ active: 2 });
      expect(await ended()).toBeUndefined();
    }),
  );

  it("code_change_map: a child whose restart is being tried is tried on with its new spec (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { intensity: 8, children: [spec("a"), spec("b")] });
      script.failing.add("a");
      await end(system, sup, "a", "abnormal");
      await world.sleep(60);
      const renewed = { ...spec("a"), options: { id: "another" } };
      await sup.call.changeSpec(changedTo({ intensity: 8, children: [renewed] }));
      await world.idle();
      expect(await sup.call.countChildren()).toMatchObject({ active: 2 });
      expect(script.history.at(-1)).toBe("start another");
    }));

  it("code_change_simple: children keep their options, the template is the new one (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const strategy = "simple_one_for_one";
      const { sup } = await start(system, {
        strategy,
        children: [spec("template", { restart: "temporary" })],
      });
      await sup.call.startChild({ options: { id: "x", extra: 1 } });
      const renewed = spec("renewed", { shutdownMs: 77 });
      await sup.call.changeSpec(changedTo({ strategy, children: [renewed] }));
      await end(system, sup, "template-1", "normal");
      await world.idle();
      const restarted = system.ref(scripted, await pidOf(sup, "template-1"));
      expect(await restarted.call.options()).toEqual({ id: "x", extra: 1 });
      await sup.call.startChild({ options: { id: "y" } });
      expect(await sup.call.getChildSpec("renewed-2")).toMatchObject({
        restart: "permanent",
        shutdownMs: 77,
      });
    }));

  it.each([
    ["children", { children: [] }],
    ["children", { children: [spec("a"), spec("b")] }],
    ["strategy", { strategy: "one_for_one" }],
  ])(
    "code_change_simple_map: a spec with other %s is refused and the template stays (supervisor_SUITE)",
    (field, wrong) =>
      play(async (system) => {
        const template = spec("template");
        const simple = { strategy: "simple_one_for_one", children: [template] } as const;
        const { sup } = await start(system, simple);
        const faulty = { ...changedTo(simple), ...wrong } as unknown as SupervisorSpec;
        await expect(sup.call.changeSpec(faulty)).rejects.toMatchObject({
          code: "bad_argument",
          details: { field },
        });
        await sup.call.startChild({ options: { id: "x" } });
        expect(await sup.call.getChildSpec("template-1")).toMatchObject({ restart: template.restart });
      }),
  );

  it("significant_upgrade_never_any: from then on a significant child ends it (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, ended } = await start(system, {
        children: [spec("a", { restart: "transient" }), spec("z")],
      });
      const significant = spec("a", { restart: "transient", significant: true });
      await expect(sup.call.startChild(significant)).rejects.toMatchObject({
        details: { field: "significant" },
      });
      await sup.call.changeSpec(
        changedTo({ autoShutdown: "any_significant", children: [significant, spec("z")] }),
      );
      await end(system, sup, "a", "normal");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("significant_upgrade_any_never: a significant child that was dropped ends nobody (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const significant = spec("a", { restart: "transient", significant: true });
      const { sup, ended } = await start(system, {
        autoShutdown: "any_significant",
        children: [significant],
      });
      await sup.call.changeSpec(changedTo({ children: [spec("z")] }));
      await end(system, sup, "a", "normal");
      await world.idle();
      expect(await ended()).toBeUndefined();
    }));
});

describe("what supervisors are sent", () => {
  it("child_specs_map: what is no spec, or names nobody, is refused and ends nobody (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup, ended } = await start(system, { children: [spec("a")] });
      for (const wrong of [undefined, null, 7, "a"] as unknown as ReturnType<typeof spec>[])
        await expect(sup.call.startChild(wrong)).rejects.toMatchObject({ code: "bad_argument" });
      for (const wrong of [undefined, null, 7, {}] as unknown as string[]) {
        await expect(sup.call.terminateChild(wrong)).rejects.toMatchObject({ code: "not_found" });
        await expect(sup.call.restartChild(wrong)).rejects.toMatchObject({ code: "not_found" });
      }
      expect(await ended()).toBeUndefined();
      expect(await sup.call.countChildren()).toMatchObject({ active: 1 });
    }));
});
