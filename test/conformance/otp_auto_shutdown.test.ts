/** A supervisor that ends with its significant children, and one whose children live on threads that die. */

import { beforeEach, describe, expect, it } from "vitest";
import {
  type ChildSpec,
  child,
  type Info,
  type Restart,
  supervisor,
  supervisorSpec,
} from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { resetScript, script, scripted, watcher } from "./otp_children.ts";
import { end, pidOf, play, spec, start } from "./otp_tree.ts";

beforeEach(resetScript);

describe("auto_shutdown", () => {
  const significant = (id: string, restart: Restart): ChildSpec => spec(id, { restart, significant: true });

  it.each(["any_significant", "all_significant"] as const)(
    "nonsignificant_temporary, nonsignificant_transient: %s does not hear the others (supervisor_SUITE)",
    (autoShutdown) =>
      play(async (system, world) => {
        const children = [
          spec("a", { restart: "temporary" }),
          spec("b", { restart: "transient" }),
          significant("c", "temporary"),
        ];
        const { sup, ended } = await start(system, { autoShutdown, children });
        await end(system, sup, "a", "abnormal");
        await end(system, sup, "b", "normal");
        await world.idle();
        expect(await ended()).toBeUndefined();
      }),
  );

  it.each(["normal", "shutdown", "abnormal"] as const)(
    "significant_temporary: any_significant ends with the first end, %s (supervisor_SUITE)",
    (how) =>
      play(async (system, world) => {
        const children = [spec("z"), significant("a", "temporary"), significant("b", "temporary")];
        const { sup, ended } = await start(system, { autoShutdown: "any_significant", children });
        await end(system, sup, "a", how);
        await world.idle();
        expect(await ended()).toBe("shutdown");
        expect(script.history.slice(-2)).toEqual(["end b", "end z"]);
      }),
  );

  it("significant_temporary: all_significant ends with the last one (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("z"), significant("a", "temporary"), significant("b", "temporary")];
      const { sup, ended } = await start(system, { autoShutdown: "all_significant", children });
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(await ended()).toBeUndefined();
      await end(system, sup, "b", "normal");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("significant_transient: a crash is a restart, a normal end is the end (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [significant("a", "transient")];
      const { sup, ended } = await start(system, { autoShutdown: "any_significant", children });
      await end(system, sup, "a", "abnormal");
      await world.idle();
      expect(await ended()).toBeUndefined();
      await end(system, sup, "a", "normal");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("significant_bystander: one that its supervisor stops does not end it (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const children = [spec("a"), significant("b", "temporary")];
      const { sup, ended } = await start(system, {
        strategy: "one_for_all",
        autoShutdown: "any_significant",
        children,
      });
      await end(system, sup, "a", "abnormal");
      await world.idle();
      await sup.call.startChild(significant("c", "transient"));
      await sup.call.terminateChild("c");
      await world.idle();
      expect(await ended()).toBeUndefined();
    }));

  it("significant_escalation: a significant supervisor that shuts down takes its own along (supervisor_SUITE)", () =>
    play(async (system, world) => {
      const inner = supervisorSpec({
        autoShutdown: "any_significant",
        children: [significant("a", "temporary")],
      });
      const nested = child("inner", supervisor, inner, { restart: "transient", significant: true });
      const { sup, ended } = await start(system, { autoShutdown: "any_significant", children: [nested] });
      await end(system, system.ref(supervisor, await pidOf(sup, "inner")), "a", "normal");
      await world.idle();
      expect(await ended()).toBe("shutdown");
    }));

  it("significant_simple: a significant template is refused (supervisor_SUITE)", () => {
    const children = [significant("a", "temporary")];
    const faulty = { strategy: "simple_one_for_one", autoShutdown: "any_significant", children } as const;
    expect(() => supervisorSpec(faulty)).toThrow(/can't be significant/);
  });
});

describe("children on threads", () => {
  it("the death of a thread with many children counts as one restart, and each comes back there", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1 });
      const children = [1, 2, 3, 4].map((n) => spec(`child ${n}`, { thread: 1, name: `child ${n}` }));
      const { sup, ended } = await start(node.system, { intensity: 1, children });
      node.crashThread(1);
      await world.eventually(
        "all are back",
        () => children.every(({ id }) => node.process(id) !== undefined),
        5_000,
      );
      expect(await ended()).toBeUndefined();
      const back = await sup.call.whichChildren();
      expect(back.map(({ pid }) => [pid?.thread, pid?.incarnation])).toEqual(children.map(() => [1, 2]));
      node.crashThread(1);
      await world.sleep(1_000);
      expect(await ended()).toMatchObject({
        crash: { message: expect.stringContaining("more than 1 restarts") },
      });
    });
  });

  it.each(["one_for_one", "one_for_all", "rest_for_one"] as const)(
    "%s: the supervisor answers while the thread is away, and no try is counted",
    async (strategy) => {
      await simulateSeed({ seed: 1 }, async (world) => {
        const node = await world.node("n", { threads: 1, threadRestartMs: 10_000 });
        const children = [spec("here"), spec("there", { thread: 1 }), spec("behind")];
        const { sup, ended } = await start(node.system, { strategy, intensity: 1, children });
        node.crashThread(1);
        await world.sleep(5_000);
        const during = await sup.call.whichChildren(undefined, { timeoutMs: 100 });
        expect(during.find(({ id }) => id === "there")).toMatchObject({ pid: undefined, restarting: true });
        expect(during[0]?.pid === undefined).toBe(strategy === "one_for_all");
        script.history.length = 0;
        await world.sleep(6_000);
        expect(await ended()).toBeUndefined();
        expect(await sup.call.countChildren()).toMatchObject({ active: 3 });
        expect(script.history.filter((line) => line === "start there")).toHaveLength(1);
      });
    },
  );

  it("a start that is asked for waits for its thread, and the supervisor answers meanwhile", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1, threadRestartMs: 5_000 });
      const { sup } = await start(node.system, { children: [spec("stopped", { thread: 1 })] });
      await sup.call.terminateChild("stopped");
      node.crashThread(1);
      await world.sleep(5);
      const patience = { timeoutMs: 60_000 };
      const started = sup.call.startChild(spec("new", { thread: 1 }), patience);
      const twice = sup.call.startChild(spec("new", { thread: 1 }), patience);
      const restarted = sup.call.restartChild("stopped", patience);
      const refused = expect(twice).rejects.toMatchObject({ code: "already_started" });
      await world.sleep(2_000);
      expect(await sup.call.countChildren(undefined, { timeoutMs: 10 })).toMatchObject({ active: 0 });
      for (const pid of [await started, await restarted]) expect(pid?.incarnation).toBe(2);
      await refused;
      expect(await sup.call.countChildren()).toMatchObject({ specs: 2, active: 2 });
    });
  });

  it("a start whose thread stays away fails in the end, and leaves nothing behind", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1, threadRestartMs: 1_000_000 });
      const { sup } = await start(node.system, {});
      await world.sleep(5);
      node.crashThread(1);
      await world.sleep(5);
      const started = sup.call.startChild(spec("new", { thread: 1 }), { timeoutMs: 60_000 });
      await expect(started).rejects.toMatchObject({ code: "noproc" });
      expect(await sup.call.whichChildren()).toEqual([]);
    });
  });

  it("a thread that stays away uses up the intensity in the end", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1, threadRestartMs: 1_000_000 });
      const { ended } = await start(node.system, { intensity: 5, children: [spec("there", { thread: 1 })] });
      node.crashThread(1);
      await world.sleep(10_000);
      expect(await ended()).toBeUndefined();
      await world.sleep(10_000);
      expect(await ended()).toMatchObject({ crash: { code: "crashed" } });
    });
  });

  it("a subtree whose parent died with its thread ends, and is not left beside its successor", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 2 });
      const inner = supervisorSpec({ children: [spec("leaf", { name: "leaf" })] });
      const middle = supervisorSpec({
        intensity: 10,
        children: [child("inner", supervisor, inner, { thread: 2 })],
      });
      await start(node.system, { children: [child("middle", supervisor, middle, { thread: 1 })] });
      node.crashThread(1);
      await world.sleep(2_000);
      expect(node.process("leaf")).toBeDefined();
      expect(script.history).toEqual(["start leaf", "end leaf", "start leaf"]);
    });
  });

  it("a trapping process hears of a remote child's end once, with its reason", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1 });
      await world.sleep(5);
      const watching = node.system.ref(watcher, await node.system.spawn(watcher, { traps: true }));
      const own = await watching.call.start({ options: { id: "a" }, thread: 1 });
      node.system.ref(scripted, own).cast.end("shutdown");
      await world.idle();
      expect(await watching.call.heard()).toEqual([
        { type: "exit", pid: own, reason: "shutdown" } satisfies Info,
      ]);
    });
  });
});
