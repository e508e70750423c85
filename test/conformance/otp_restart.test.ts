/** Cases of OTP's supervisor_SUITE about restarts, by name, in virtual time. */

import { beforeEach, describe, expect, it } from "vitest";
import { child, type Restart, type Strategy, supervisor, supervisorSpec } from "../../src/index.ts";
import { resetScript, script, scripted, watcher } from "./otp_children.ts";
import { changed, end, pidOf, pids, play, spec, start } from "./otp_tree.ts";

beforeEach(resetScript);

describe("restart", () => {
  const cases: [title: string, Restart, "normal" | "shutdown" | "abnormal", boolean][] = [
    ["permanent_normal: it is restarted (supervisor_SUITE)", "permanent", "normal", true],
    ["permanent_shutdown: it is restarted (supervisor_SUITE)", "permanent", "shutdown", true],
    ["permanent_abnormal: it is restarted (supervisor_SUITE)", "permanent", "abnormal", true],
    ["transient_normal: it stays away, its spec is kept (supervisor_SUITE)", "transient", "normal", false],
    [
      "transient_shutdown: it stays away, its spec is kept (supervisor_SUITE)",
      "transient",
      "shutdown",
      false,
    ],
    ["transient_abnormal: it is restarted (supervisor_SUITE)", "transient", "abnormal", true],
    ["temporary_normal: it and its spec are gone (supervisor_SUITE)", "temporary", "normal", false],
    ["temporary_shutdown: it and its spec are gone (supervisor_SUITE)", "temporary", "shutdown", false],
    ["temporary_abnormal: it and its spec are gone (supervisor_SUITE)", "temporary", "abnormal", false],
  ];

  it.each(cases)("%s", (_, restart, how, restarted) =>
    play(async (system, world) => {
      const { sup } = await start(system, {});
      const before = await sup.call.startChild(spec("a", { restart }));
      await end(system, sup, "a", how);
      await world.idle();
      const [after] = await sup.call.whichChildren();
      if (restart === "temporary") expect(after).toBeUndefined();
      else if (restarted) expect(after?.pid?.id).toBeGreaterThan(before?.id ?? Number.POSITIVE_INFINITY);
      else expect(after).toMatchObject({ id: "a", pid: undefined, restarting: false });
    }),
  );

  it.each([
    ["one_for_one: a crash restarts that child alone, the third ends all (supervisor_SUITE)", ["b"]],
    ["one_for_all: a crash restarts all, the third ends all (supervisor_SUITE)", ["a", "b", "c"]],
    ["rest_for_one: a crash restarts it and those behind, the third ends all (supervisor_SUITE)", ["b", "c"]],
  ] as const)("%s", (title, affected) =>
    play(async (system, world) => {
      const children = [spec("a"), spec("b"), spec("c")];
      const strategy = title.slice(0, title.indexOf(":")) as Strategy;
      const { sup, ended } = await start(system, { strategy, children });
      for (let round = 0; round < 2; round++) {
        const before = await pids(sup);
        await end(system, sup, "b", "abnormal");
        await world.idle();
        expect(await changed(sup, before)).toEqual(affected);
        expect(await sup.call.countChildren()).toMatchObject({ active: 3 });
      }
      script.history.length = 0;
      await end(system, sup, "b", "abnormal");
      await world.idle();
      expect(await ended()).toMatchObject({ crash: { message: expect.stringContaining("child b") } });
      expect(script.history).toEqual(["end b", "end c", "end a"]);
    }),
  );

  it("simple_one_for_one, simple_one_for_one_extra: a restart keeps its options (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, ended } = await start(system, {
        strategy: "simple_one_for_one",
        children: [spec("template")],
      });
      await sup.call.startChild({ options: { id: "a", extra: { given: 1 } } });
      const other = await sup.call.startChild({ options: { id: "b", extra: { given: 2 } } });
      for (let round = 0; round < 2; round++) {
        await end(system, sup, "template-1", "abnormal");
        await world.idle();
      }
      const restarted = system.ref(scripted, await pidOf(sup, "template-1"));
      expect(await restarted.call.options()).toEqual({ id: "a", extra: { given: 1 } });
      expect(await pidOf(sup, "template-2")).toEqual(other);
      await end(system, sup, "template-1", "abnormal");
      await world.idle();
      expect(await ended()).toMatchObject({ crash: { code: "crashed" } });
    }));

  it("simple_one_for_one_shutdown: children stop side by side, each within its time (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const template = spec("template", { shutdownMs: 1_000 });
      const { sup, pid, ended } = await start(system, {
        strategy: "simple_one_for_one",
        children: [template],
      });
      for (let i = 0; i < 50; i++) {
        script.endsAfterMs.set(`child ${i}`, 800);
        await sup.call.startChild({ options: { id: `child ${i}` } });
      }
      system.exit(pid, "shutdown");
      await world.sleep(900);
      expect(await ended()).toBe("shutdown");
      expect(script.history.filter((line) => line.startsWith("end"))).toHaveLength(50);
    }));

  it("simple_one_for_one_restart_ignore: one that ignores its restart is forgotten (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { strategy: "simple_one_for_one", children: [spec("template")] });
      await sup.call.startChild({ options: { id: "a" } });
      script.ignoring.add("a");
      await end(system, sup, "template-1", "abnormal");
      await world.idle();
      expect(await sup.call.whichChildren()).toEqual([]);
    }));

  it("simple_one_for_one_scale_many_temporary_children: a thousand come and go (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const template = spec("template", { restart: "temporary" });
      const { sup } = await start(system, { strategy: "simple_one_for_one", children: [template] });
      for (let i = 0; i < 1_000; i++) await sup.call.startChild({ options: { id: "x" } });
      const children = await sup.call.whichChildren();
      for (const { pid } of children.slice(0, 500)) if (pid !== undefined) system.exit(pid, "killed");
      for (const { pid } of children.slice(500)) if (pid !== undefined) await sup.call.terminateChild(pid);
      await world.idle();
      expect(await sup.call.whichChildren()).toEqual([]);
    }));

  it("multiple_restarts: restarts that left the period don't count (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, ended } = await start(system, { intensity: 1, periodMs: 1_000, children: [spec("a")] });
      for (let round = 0; round < 5; round++) {
        await end(system, sup, "a", "abnormal");
        await world.sleep(1_100);
      }
      expect(await ended()).toBeUndefined();
      await end(system, sup, "a", "abnormal");
      await world.sleep(100);
      await end(system, sup, "a", "abnormal");
      await world.sleep(100);
      expect(await ended()).toMatchObject({ crash: { code: "crashed" } });
    }));

  const escalations: [title: string, Strategy][] = [
    [
      "one_for_one_escalation: its own supervisor restarts it with its static children (supervisor_SUITE)",
      "one_for_one",
    ],
    [
      "one_for_all_escalation: its own supervisor restarts it with its static children (supervisor_SUITE)",
      "one_for_all",
    ],
    [
      "rest_for_one_escalation: its own supervisor restarts it with its static children (supervisor_SUITE)",
      "rest_for_one",
    ],
    [
      "simple_one_for_one_escalation: its own supervisor restarts it without children (supervisor_SUITE)",
      "simple_one_for_one",
    ],
  ];

  it.each(escalations)("%s", (_, strategy) =>
    play(async (system, world) => {
      const isSimple = strategy === "simple_one_for_one";
      const children = isSimple ? [spec("template")] : [spec("a"), spec("b")];
      const inner = supervisorSpec({ strategy, intensity: 1, periodMs: 3_600_000, children });
      const { sup, ended } = await start(system, {
        children: [child("inner", supervisor, inner), spec("sibling")],
      });
      const before = await pids(sup);
      const innerNow = async () => system.ref(supervisor, await pidOf(sup, "inner"));
      if (isSimple)
        for (const id of ["a", "b"]) await (await innerNow()).call.startChild({ options: { id } });
      const [{ id } = { id: "" }] = await (await innerNow()).call.whichChildren();
      script.history.length = 0;
      for (let round = 0; round < 2; round++) {
        await end(system, await innerNow(), id, "abnormal");
        await world.idle();
      }
      expect(await changed(sup, before)).toEqual(["inner"]);
      // Both have ended before the new life begins, however the first round went.
      expect(script.history.filter((line) => line === "end b")).toHaveLength(
        strategy === "one_for_all" || strategy === "rest_for_one" ? 2 : 1,
      );
      expect(await (await innerNow()).call.countChildren()).toMatchObject({ active: isSimple ? 0 : 2 });
      expect(await ended()).toBeUndefined();
    }),
  );

  it("tree: dynamic children are gone after the supervisor's restart, static ones return (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const inner = supervisorSpec({ children: [spec("static")] });
      const { sup } = await start(system, { children: [child("inner", supervisor, inner)] });
      const before = await pidOf(sup, "inner");
      await system.ref(supervisor, before).call.startChild(spec("dynamic"));
      system.exit(before, "killed");
      await world.idle();
      expect(Object.keys(await pids(system.ref(supervisor, await pidOf(sup, "inner"))))).toEqual(["static"]);
      expect(script.history.splice(0, 2)).toEqual(["start static", "start dynamic"]);
      expect(script.history.toSorted()).toEqual(["end dynamic", "end static", "start static"]);
    }));

  it.each(["one_for_all", "rest_for_one"] as const)(
    "temporary_bystander: %s stops a temporary sibling and does not bring it back (supervisor_SUITE)",
    (strategy) =>
      play(async (system, world) => {
        const children = [spec("a"), spec("bystander", { restart: "temporary" }), spec("c")];
        const { sup } = await start(system, { strategy, children });
        await end(system, sup, "a", "abnormal");
        await world.idle();
        expect(Object.keys(await pids(sup))).toEqual(["a", "c"]);
        expect(await sup.call.countChildren()).toMatchObject({ active: 2 });
      }),
  );

  it("child_unlink: a child that unlinks itself is still stopped by its supervisor (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, pid } = await start(system, { children: [child("a", watcher, { traps: false })] });
      const own = await pidOf(sup, "a");
      await system.ref(watcher, own).call.unlink(pid);
      await sup.call.terminateChild("a");
      await world.idle();
      await expect(system.statistics(own)).rejects.toMatchObject({ code: "noproc" });
    }));
});

describe("a restart that fails", () => {
  it("hanging_restart_loop, count_restarting_children: the supervisor answers meanwhile (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, pid, ended } = await start(system, { intensity: 8, children: [spec("a"), spec("b")] });
      const former = await pidOf(sup, "a");
      script.failing.add("a");
      await end(system, sup, "a", "abnormal");
      await world.sleep(120);
      expect(await sup.call.whichChildren()).toMatchObject([
        { id: "a", pid: undefined, restarting: true },
        { id: "b" },
      ]);
      expect(await sup.call.countChildren()).toEqual({ specs: 2, active: 1, supervisors: 0, workers: 2 });
      await expect(sup.call.startChild(spec("a"))).rejects.toMatchObject({ code: "already_present" });
      await expect(sup.call.restartChild("a")).rejects.toMatchObject({ code: "restarting" });
      await expect(sup.call.deleteChild("a")).rejects.toMatchObject({ code: "restarting" });
      await sup.call.terminateChild(former);
      expect(await sup.call.whichChildren()).toMatchObject([{ id: "a", restarting: false }, { id: "b" }]);
      script.history.length = 0;
      await world.sleep(10_000);
      expect(script.history).toEqual([]);
      script.failing.clear();
      await sup.call.restartChild("a");
      script.failing.add("a");
      await end(system, sup, "a", "abnormal");
      await world.sleep(60);
      system.exit(pid, "shutdown");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("hanging_restart_loop_simple: terminated by its former pid, the child is forgotten (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup } = await start(system, {
        strategy: "simple_one_for_one",
        intensity: 8,
        children: [spec("template")],
      });
      const former = await sup.call.startChild({ options: { id: "a" } });
      script.failing.add("a");
      await end(system, sup, "template-1", "abnormal");
      await world.sleep(60);
      expect(await sup.call.countChildren()).toEqual({ specs: 1, active: 0, supervisors: 0, workers: 1 });
      if (former === undefined) throw new Error("it ran");
      await sup.call.terminateChild(former);
      expect(await sup.call.whichChildren()).toEqual([]);
    }));

  it.each(["one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one"] as const)(
    "%s: a child that never starts again uses up the intensity and ends the supervisor",
    (strategy) =>
      play(async (system, world) => {
        const { sup, ended } = await start(system, { strategy, intensity: 4, children: [spec("a")] });
        if (strategy === "simple_one_for_one") await sup.call.startChild({ options: { id: "a" } });
        const [{ id } = { id: "" }] = await sup.call.whichChildren();
        script.history.length = 0;
        script.failing.add("a");
        await end(system, sup, id, "abnormal");
        await world.sleep(60_000);
        expect(await ended()).toMatchObject({
          crash: { message: expect.stringContaining("more than 4 restarts") },
        });
        expect(script.history.filter((line) => line === "start a")).toHaveLength(4);
      }),
  );

  it("rest_for_one_other_child_fails_restart: nobody stays down once it can start (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("a"), spec("b"), spec("c"), spec("d")];
      const { sup } = await start(system, { strategy: "rest_for_one", intensity: 8, children });
      const { a } = await pids(sup);
      script.failing.add("c");
      await end(system, sup, "b", "abnormal");
      await world.sleep(70);
      const during = await sup.call.whichChildren();
      expect(during.map(({ pid, restarting }) => [pid !== undefined, restarting])).toEqual([
        [true, false],
        [true, false],
        [false, true],
        [false, false],
      ]);
      const { b } = await pids(sup);
      script.failing.clear();
      await world.idle();
      expect(await sup.call.countChildren()).toMatchObject({ active: 4 });
      expect(await pids(sup)).toMatchObject({ a, b });
    }));

  it("one_for_all_other_child_fails_restart: all are started together in the end (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("a"), spec("b"), spec("c")];
      const { sup } = await start(system, { strategy: "one_for_all", intensity: 8, children });
      script.failing.add("b");
      await end(system, sup, "c", "abnormal");
      await world.sleep(70);
      script.failing.clear();
      script.history.length = 0;
      await world.idle();
      expect(script.history).toEqual(["end a", "start a", "start b", "start c"]);
      expect(await sup.call.countChildren()).toMatchObject({ active: 3 });
    }));

  it("rest_for_one: an earlier one's crash in a later one's retry restarts all once (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("a"), spec("b"), spec("c")];
      const { sup, ended } = await start(system, { strategy: "rest_for_one", intensity: 3, children });
      script.failing.add("c");
      await end(system, sup, "b", "abnormal");
      await world.sleep(20);
      script.failing.clear();
      script.history.length = 0;
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(script.history).toEqual(["end a", "end b", "start a", "start b", "start c"]);
      expect(await ended()).toBeUndefined();
    }));
});

describe("children that end while the supervisor is busy", () => {
  it("one that ends while a sibling starts is restarted after it", () =>
    play(async (system, world) => {
      const { sup } = await start(system, { children: [spec("a")] });
      script.startsAfterMs.set("slow", 1_000);
      const before = await pidOf(sup, "a");
      const started = sup.call.startChild(spec("slow"));
      await world.sleep(10);
      system.exit(before, "killed");
      await started;
      await world.idle();
      expect(await sup.call.countChildren()).toMatchObject({ active: 2 });
      expect(await pidOf(sup, "a")).not.toEqual(before);
    }));

  it("one that crashes while the supervisor stops another one is stopped, not restarted", () =>
    play(async (system, world) => {
      script.endsAfterMs.set("slow", 1_000);
      const { sup, pid, ended } = await start(system, { children: [spec("a"), spec("slow")] });
      const a = await pidOf(sup, "a");
      system.exit(pid, "shutdown");
      await world.sleep(100);
      script.history.length = 0;
      system.exit(a, "killed");
      await world.idle();
      expect(script.history).toEqual(["end slow"]);
      expect(await ended()).toBe("shutdown");
    }));

  it("a supervisor that is killed in the middle of a restart starts nobody any more", () =>
    play(async (system, world) => {
      script.endsAfterMs.set("slow", 1_000);
      const options = { strategy: "one_for_all", children: [spec("a"), spec("slow")] } as const;
      const { sup, pid } = await start(system, options);
      await end(system, sup, "a", "abnormal");
      await world.sleep(100);
      script.history.length = 0;
      system.exit(pid, "killed");
      await world.sleep(60_000);
      expect(script.history).toEqual(["end slow"]);
    }));

  it("two that crash together under one_for_all count as one restart", () =>
    play(async (system, world) => {
      const options = { strategy: "one_for_all", intensity: 1, children: [spec("a"), spec("b")] } as const;
      const { sup, ended } = await start(system, options);
      const { a, b } = await pids(sup);
      if (a === undefined || b === undefined) throw new Error("both run");
      system.exit(a, "killed");
      system.exit(b, "killed");
      await world.idle();
      expect(await ended()).toBeUndefined();
      expect(await sup.call.countChildren()).toMatchObject({ active: 2 });
    }));
});
