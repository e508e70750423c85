/**
 * Cases of OTP's supervisor_SUITE, by name, in virtual time.
 */

import { beforeEach, describe, expect, it } from "vitest";
import { type ChildSpec, child, type SupervisorSpec, supervisor, supervisorSpec } from "../../src/index.ts";
import { resetScript, script, scripted, watcher } from "./otp_children.ts";
import { end, pidOf, pids, play, spec, start } from "./otp_tree.ts";

beforeEach(resetScript);

describe("start", () => {
  it("sup_start_normal: a supervisor without children runs and ends by shutdown (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const { sup, pid, ended } = await start(system, {});
      expect(await sup.call.whichChildren()).toEqual([]);
      expect(await sup.call.countChildren()).toEqual({ specs: 0, active: 0, supervisors: 0, workers: 0 });
      system.exit(pid, "shutdown");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("sup_start_ignore_child: the spec stays without a process, its siblings start (supervisor_SUITE)", () =>
    play(async (system) => {
      script.ignoring.add("second");
      const { sup } = await start(system, { children: [spec("first"), spec("second")] });
      expect((await pids(sup)).second).toBeUndefined();
      expect(await sup.call.countChildren()).toEqual({ specs: 2, active: 1, supervisors: 0, workers: 2 });
      script.ignoring.clear();
      expect(await sup.call.restartChild("second")).toBeDefined();
    }));

  it("sup_start_ignore_temporary_child: its spec is dropped, also by startChild (supervisor_SUITE)", () =>
    play(async (system) => {
      script.ignoring.add("a").add("b");
      const children = [spec("a", { restart: "temporary" }), spec("c")];
      const { sup } = await start(system, { children });
      expect(await sup.call.startChild(spec("b", { restart: "temporary" }))).toBeUndefined();
      expect(Object.keys(await pids(sup))).toEqual(["c"]);
    }));

  it("sup_start_ignore_temporary_child_start_child: its spec is dropped, the next one starts (supervisor_SUITE)", () =>
    play(async (system) => {
      script.ignoring.add("a");
      const { sup } = await start(system, {});
      expect(await sup.call.startChild(spec("a", { restart: "temporary" }))).toBeUndefined();
      expect(await sup.call.startChild(spec("b", { restart: "temporary" }))).toBeDefined();
      expect(await sup.call.countChildren()).toEqual({ specs: 1, active: 1, supervisors: 0, workers: 1 });
    }));

  it.each([
    [
      "sup_start_ignore_temporary_child_start_child_simple: it is forgotten, the stop is clean (supervisor_SUITE)",
      "temporary",
    ],
    [
      "sup_start_ignore_permanent_child_start_child_simple: it is forgotten, the stop is clean (supervisor_SUITE)",
      "permanent",
    ],
  ] as const)("%s", (_, restart) =>
    play(async (system, world) => {
      script.ignoring.add("a");
      const template = spec("template", { restart });
      const { sup, pid, ended } = await start(system, {
        strategy: "simple_one_for_one",
        children: [template],
      });
      expect(await sup.call.startChild({ options: { id: "a" } })).toBeUndefined();
      const started = await sup.call.startChild({ options: { id: "b" } });
      expect((await sup.call.whichChildren()).map((each) => each.pid)).toEqual([started]);
      expect(await sup.call.countChildren()).toEqual({ specs: 1, active: 1, supervisors: 0, workers: 1 });
      system.exit(pid, "shutdown");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }),
  );

  it("sup_start_error_return: what is no spec fails the start, and is heard of once (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const watching = system.ref(watcher, await system.spawn(watcher, { traps: true }));
      for (const invalid of [undefined, null, "invalid", {}, { children: [undefined] }]) {
        const { module, name } = supervisor;
        const started = watching.call.startNamed({ module, name, options: invalid });
        await expect(started).rejects.toMatchObject({ code: "bad_argument" });
      }
      await world.idle();
      expect((await watching.call.heard()).map(({ type }) => type)).toEqual(
        Array.from({ length: 5 }, () => "exit"),
      );
      expect(world.logged.filter(({ level }) => level === "error")).toEqual([]);
    }));

  it("sup_start_fail: a child whose module does not load fails the start (supervisor_SUITE)", () =>
    play(async (system) => {
      const missing = { ...spec("missing"), export: "nothing" };
      await expect(start(system, { children: [spec("a"), missing] })).rejects.toMatchObject({
        code: "undef",
        message: expect.stringContaining("child missing"),
      });
      expect(script.history).toEqual(["start a", "end a"]);
    }));

  it("sup_start_child_returns_error: those before it are stopped, the error names it (supervisor_SUITE)", () =>
    play(async (system) => {
      script.failing.add("b");
      const failed = start(system, { children: [spec("a"), spec("b"), spec("c")] });
      await expect(failed).rejects.toMatchObject({
        code: "unavailable",
        message: expect.stringContaining("child b"),
      });
      expect(script.history).toEqual(["start a", "start b", "end a"]);
    }));

  it("sup_start_restart_child_returns_error: a restart that fails keeps the spec (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup, ended } = await start(system, { children: [spec("a")] });
      await sup.call.terminateChild("a");
      script.failing.add("a");
      await expect(sup.call.restartChild("a")).rejects.toMatchObject({ code: "unavailable" });
      expect(await sup.call.whichChildren()).toMatchObject([{ id: "a", pid: undefined, restarting: false }]);
      expect(await ended()).toBeUndefined();
    }));

  it("sup_start_map: permanent, 5,000 ms, a worker; a supervisor has all the time it needs (supervisor_SUITE)", () =>
    play(async (system) => {
      const nested = child("nested", supervisor, supervisorSpec({ children: [] }));
      const { sup } = await start(system, { children: [spec("a"), nested] });
      expect(await sup.call.getChildSpec("a")).toMatchObject({ restart: "permanent", shutdownMs: 5_000 });
      expect(await sup.call.getChildSpec("nested")).toMatchObject({
        type: "supervisor",
        shutdownMs: Number.POSITIVE_INFINITY,
      });
      const flags = { strategy: "one_for_one", intensity: 1, periodMs: 5_000 };
      expect(supervisorSpec({ children: [] })).toMatchObject(flags);
    }));

  it.each([
    ["strategy", { strategy: "all_for_nothing" }],
    ["intensity", { intensity: -1 }],
    ["intensity", { intensity: Number.NaN }],
    ["periodMs", { periodMs: 0 }],
    ["autoShutdown", { autoShutdown: "sometimes" }],
    ["children", { children: "none" }],
    ["children", { children: [spec("a"), spec("a")] }],
    ["children", { strategy: "simple_one_for_one", children: [] }],
    ["children", { strategy: "simple_one_for_one", children: [spec("a"), spec("b")] }],
    ["id", { children: [{ ...spec("a"), id: "" }] }],
  ])(
    "sup_flags, sup_start_map_faulty_specs: a wrong %s is refused, here and by the process (supervisor_SUITE)",
    (field, wrong) =>
      play(async (system) => {
        const faulty = { children: [], ...wrong } as unknown as SupervisorSpec;
        expect(() => supervisorSpec(faulty)).toThrow(
          expect.objectContaining({ details: expect.objectContaining({ field }) }),
        );
        await expect(system.spawn(supervisor, faulty)).rejects.toMatchObject({
          code: "bad_argument",
          details: { field },
        });
        expect(script.history).toEqual([]);
      }),
  );

  it.each([
    ["id", { id: "" }],
    ["id", { id: 7 }],
    ["module", { module: "" }],
    ["export", { export: undefined }],
    ["restart", { restart: "always" }],
    ["shutdownMs", { shutdownMs: -1 }],
    ["shutdownMs", { shutdownMs: "kill" }],
    ["shutdownMs", { shutdownMs: Number.NaN }],
    ["type", { type: "worker_bee" }],
    ["significant", { significant: "yes" }],
    ["significant", { significant: true, restart: "permanent" }],
    ["significant", { significant: true, restart: "transient" }],
    ["name", { name: undefined }],
    ["thread", { thread: -1 }],
    ["thread", { thread: "some" }],
    ["mailbox", { mailbox: { max: 0, bytesMax: 1 } }],
    ["initTimeoutMs", { initTimeoutMs: -5 }],
  ])("child_specs_map: startChild refuses a wrong %s and names it (supervisor_SUITE)", (field, wrong) =>
    play(async (system) => {
      const { sup } = await start(system, {});
      const faulty = { ...spec("a"), ...wrong } as unknown as ChildSpec;
      await expect(sup.call.startChild(faulty)).rejects.toMatchObject({
        code: "bad_argument",
        details: { field },
      });
      expect(await sup.call.whichChildren()).toEqual([]);
      expect(script.history).toEqual([]);
    }),
  );
});

describe("stop", () => {
  it("sup_stop_infinity: a child with all the time takes it (supervisor_SUITE)", () =>
    play(async (system, world) => {
      script.endsAfterMs.set("a", 3_600_000);
      const { pid, ended } = await start(system, {
        children: [spec("a", { shutdownMs: Number.POSITIVE_INFINITY })],
      });
      system.exit(pid, "shutdown");
      await world.sleep(3_500_000);
      expect(await ended()).toBeUndefined();
      await world.sleep(200_000);
      expect(await ended()).toBe("shutdown");
      expect(script.history).toContain("end a");
    }));

  it("sup_stop_timeout: a late child is killed, and its siblings have their own time (supervisor_SUITE)", () =>
    play(async (system, world) => {
      script.stuck.add("late");
      const children = [spec("first"), spec("late", { shutdownMs: 1_000 }), spec("last")];
      const { sup, pid, ended } = await start(system, { children });
      const late = await pidOf(sup, "late");
      system.exit(pid, "shutdown");
      await world.sleep(900);
      expect(script.history.slice(3)).toEqual(["end last"]);
      await world.sleep(200);
      expect(script.history.slice(3)).toEqual(["end last", "end first"]);
      expect(await ended()).toBe("shutdown");
      await expect(system.statistics(late)).rejects.toMatchObject({ code: "noproc" });
      expect(world.logged.map(({ message }) => message)).toContain("child late did not end as it was told");
    }));

  it("sup_stop_brutal_kill: the child ends without its terminate (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup } = await start(system, { children: [spec("a", { shutdownMs: "brutal_kill" })] });
      const pid = await pidOf(sup, "a");
      await sup.call.terminateChild("a");
      expect(script.history).toEqual(["start a"]);
      await expect(system.statistics(pid)).rejects.toMatchObject({ code: "noproc" });
    }));

  it("order_of_children: started in order, stopped in reverse order (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const ids = ["ch7", "ch3", "ch10", "ch2", "ch5"];
      const { sup, pid } = await start(system, {
        strategy: "rest_for_one",
        children: ids.map((id) => spec(id)),
      });
      expect(script.history.splice(0)).toEqual(ids.map((id) => `start ${id}`));
      await end(system, sup, "ch10", "abnormal");
      await world.idle();
      expect(script.history.splice(0)).toEqual([
        ...["end ch10", "end ch5", "end ch2"],
        ...["start ch10", "start ch2", "start ch5"],
      ]);
      system.exit(pid, "shutdown");
      await world.idle();
      expect(script.history).toEqual([...ids].reverse().map((id) => `end ${id}`));
    }));

  it("a supervisor that is killed takes its whole tree along, trapping children included", () =>
    play(async (system, world) => {
      const inner = supervisorSpec({ children: [spec("leaf")] });
      const { sup, pid } = await start(system, { children: [child("inner", supervisor, inner)] });
      const innerPid = await pidOf(sup, "inner");
      system.exit(pid, "killed");
      await world.idle();
      await expect(system.statistics(innerPid)).rejects.toMatchObject({ code: "noproc" });
      expect(script.history).toEqual(["start leaf", "end leaf"]);
    }));
});

describe("administration", () => {
  it("child_adm: terminate, restart and delete, and what each refuses (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup } = await start(system, {});
      const pid = await sup.call.startChild(spec("a"));
      await expect(sup.call.startChild(spec("a"))).rejects.toMatchObject({
        code: "already_started",
        details: { pid },
      });
      await expect(sup.call.restartChild("a")).rejects.toMatchObject({ code: "running" });
      await expect(sup.call.deleteChild("a")).rejects.toMatchObject({ code: "running" });
      await sup.call.terminateChild("a");
      expect(await sup.call.whichChildren()).toMatchObject([{ id: "a", pid: undefined }]);
      await sup.call.terminateChild("a");
      await expect(sup.call.startChild(spec("a"))).rejects.toMatchObject({ code: "already_present" });
      const again = await sup.call.restartChild("a");
      expect(again).not.toEqual(pid);
      await sup.call.terminateChild("a");
      await sup.call.deleteChild("a");
      for (const refused of [
        sup.call.deleteChild("a"),
        sup.call.restartChild("a"),
        sup.call.terminateChild("a"),
      ])
        await expect(refused).rejects.toMatchObject({ code: "not_found" });
      expect(await sup.call.whichChildren()).toEqual([]);
    }));

  it("child_adm: a child that fails to start leaves no spec behind (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup } = await start(system, {});
      script.failing.add("a");
      await expect(sup.call.startChild(spec("a"))).rejects.toMatchObject({ code: "unavailable" });
      expect(await sup.call.whichChildren()).toEqual([]);
    }));

  it("child_adm_simple: dynamic children are named by pid and have no spec of their own (supervisor_SUITE)", () =>
    play(async (system) => {
      const { sup } = await start(system, { strategy: "simple_one_for_one", children: [spec("a")] });
      expect(await sup.call.countChildren()).toEqual({ specs: 1, active: 0, supervisors: 0, workers: 0 });
      await expect(sup.call.startChild(spec("b"))).rejects.toMatchObject({ code: "bad_argument" });
      const first = await sup.call.startChild({ options: { id: "first" } });
      const second = await sup.call.startChild({ options: { id: "second" } });
      expect(await sup.call.countChildren()).toEqual({ specs: 1, active: 2, supervisors: 0, workers: 2 });
      const [{ id } = { id: "" }] = await sup.call.whichChildren();
      await expect(sup.call.restartChild(id)).rejects.toMatchObject({ code: "bad_argument" });
      await expect(sup.call.deleteChild(id)).rejects.toMatchObject({ code: "bad_argument" });
      if (first === undefined || second === undefined) throw new Error("both run");
      await sup.call.terminateChild(first);
      expect((await sup.call.whichChildren()).map(({ pid }) => pid)).toEqual([second]);
      await expect(sup.call.terminateChild(first)).rejects.toMatchObject({ code: "not_found" });
    }));

  it("count_children, count_children_supervisor: by type, whether they run or not (supervisor_SUITE)", () =>
    play(async (system) => {
      const inner = child("inner", supervisor, supervisorSpec({ children: [] }));
      const { sup } = await start(system, {
        children: [spec("a"), inner, spec("b", { type: "supervisor" })],
      });
      expect(await sup.call.countChildren()).toEqual({ specs: 3, active: 3, supervisors: 2, workers: 1 });
      await sup.call.terminateChild("inner");
      expect(await sup.call.countChildren()).toEqual({ specs: 3, active: 2, supervisors: 2, workers: 1 });
    }));

  it.each(["one_for_one", "one_for_all", "rest_for_one"] as const)(
    "do_not_save_child_specs_for_temporary_children: %s keeps the others' only (supervisor_SUITE)",
    (strategy) =>
      play(async (system, world) => {
        const { sup } = await start(system, { strategy, intensity: 100 });
        for (const how of ["killed", "normal", "abnormal", "supervisor"] as const) {
          const pid = await sup.call.startChild(spec("temporary", { restart: "temporary" }));
          if (pid === undefined) throw new Error("it runs");
          if (how === "killed") system.exit(pid, "killed");
          else if (how === "supervisor") await sup.call.terminateChild("temporary");
          else system.ref(scripted, pid).cast.end(how);
          await world.idle();
          expect(await sup.call.whichChildren()).toEqual([]);
        }
        await sup.call.startChild(spec("transient", { restart: "transient" }));
        await end(system, sup, "transient", "normal");
        await world.idle();
        await expect(sup.call.startChild(spec("transient"))).rejects.toMatchObject({
          code: "already_present",
        });
      }),
  );

  it("already_started_outside_supervisor: a taken name is refused with its holder (supervisor_SUITE)", () =>
    play(async (system) => {
      const holder = await system.spawn(scripted, { id: "outside" }, { name: "held" });
      const { sup } = await start(system, {});
      await expect(sup.call.startChild(spec("a", { name: "held" }))).rejects.toMatchObject({
        code: "already_started",
        details: { pid: holder },
      });
      expect(await sup.call.whichChildren()).toEqual([]);
    }));
});
