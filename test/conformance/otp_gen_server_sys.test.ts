/** Cases of OTP's gen_server_SUITE about sys: idleness, states that are shown, held and replaced; by name. */

import { beforeEach, describe, expect, it } from "vitest";
import type { Pid } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { bare, server, terminated } from "./otp_server.ts";
import { play, start } from "./otp_servers.ts";

beforeEach(() => {
  terminated.length = 0;
});

describe("hibernate", () => {
  it.each(["call", "cast", "info"] as const)(
    "hibernate: who waits is in no queue and leaves the world idle; a %s wakes it (gen_server_SUITE)",
    (what) =>
      simulateSeed({ seed: 1 }, async (world) => {
        const node = await world.node("n");
        const { pid, ref } = await start(node.system);
        const dozing = async (): Promise<void> => {
          // Resolves only once no timer of anybody is left.
          await world.idle();
          const process = node.processOf(pid);
          expect(process).toMatchObject({ queued: false, runnable: false });
        };
        await dozing();
        await node.system.suspend(pid);
        await dozing();
        await node.system.resume(pid);
        await dozing();
        expect(await node.system.statistics(pid)).toMatchObject({ handled: 0, status: "ready" });
        if (what === "call") expect(await ref.call.echo("awake")).toBe("awake");
        else if (what === "cast") ref.cast.note("awake");
        else node.system.send(pid, "awake");
        await dozing();
        expect(await node.system.statistics(pid)).toMatchObject({ handled: 1, status: "ready" });
        if (what !== "call") expect(await ref.call.heard()).toEqual(["awake"]);
      }).then(() => undefined),
  );

  it("auto_hibernate: told once that it is idle, it stays so until a message wakes it (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system, { start: "idle" });
      await world.idle();
      expect(await system.statistics(pid)).toMatchObject({ handled: 1 });
      await system.suspend(pid);
      await world.idle();
      await system.resume(pid);
      await world.idle();
      expect(await system.statistics(pid)).toMatchObject({ handled: 1 });
      ref.cast.note("awake");
      expect(await ref.call.heard()).toEqual(["idle after init", "awake"]);
    }));
});

describe("sys", () => {
  it("get_state: as formatStatus shows it, also while suspended or busy (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const remote = await system.spawn(server, {}, { thread: 1 });
      for (const pid of [(await start(system)).pid, remote]) {
        const shown = { heard: [], secret: "redacted" };
        expect(await system.getState(pid)).toEqual(shown);
        await system.suspend(pid);
        expect(await system.getState(pid)).toEqual(shown);
        await system.resume(pid);
        system.ref(server, pid).cast.busy(1_000);
        await world.sleep(10);
        expect(await system.getState(pid)).toEqual(shown);
        expect(await system.statistics(pid)).toMatchObject({ status: "busy", definition: "server" });
      }
    }, 1));

  it.each([0, 1])(
    "replace_state: also while suspended; from then on it is the state; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system) => {
        const pid = await system.spawn(server, {}, { thread });
        const ref = system.ref(server, pid);
        ref.cast.note(1);
        expect(await ref.call.heard()).toEqual([1]);
        expect(await system.replaceState(pid, [0])).toEqual({ heard: [0, 1], secret: "redacted" });
        await system.suspend(pid);
        ref.cast.note(2);
        await system.replaceState(pid, [-1]);
        expect(await system.getState(pid)).toEqual({ heard: [-1, 0, 1], secret: "redacted" });
        await system.resume(pid);
        expect(await ref.call.heard()).toEqual([-1, 0, 1, 2]);
      }, 1),
  );

  it.each([0, 1])(
    "replace_state: one that throws, or is not there, changes nothing; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system) => {
        const pid = await system.spawn(server, {}, { thread });
        const ref = system.ref(server, pid);
        ref.cast.note(1);
        const refused = system.replaceState(pid, "no array");
        await expect(refused).rejects.toMatchObject({ message: expect.stringContaining("no history") });
        expect(await ref.call.heard()).toEqual([1]);
        const without = await system.spawn(bare, {}, { thread });
        await expect(system.replaceState(without, [0])).rejects.toMatchObject({ code: "undef" });
        expect(await system.ref(bare, without).call.ping()).toBe("pong");
      }, 1),
  );

  it("replace_state: waits for the turn in hand, but not for ever; of the dead is noproc (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      ref.cast.busy(1_000);
      ref.cast.note("behind");
      await world.sleep(10);
      const replaced = system.replaceState(pid, ["between"]);
      expect(await system.getState(pid)).toMatchObject({ heard: [] });
      await replaced;
      expect(await ref.call.heard()).toEqual(["between", "behind"]);
      ref.cast.busy(10_000);
      await world.sleep(10);
      await expect(system.replaceState(pid, ["late"])).rejects.toMatchObject({ code: "timeout" });
      await world.sleep(10_000);
      expect(await ref.call.heard()).toEqual(["between", "behind"]);
      ref.cast.busy(10_000);
      await world.sleep(10);
      const killed = system.replaceState(pid, ["never"]);
      await world.sleep(10);
      system.exit(pid, "killed");
      for (const refused of [killed, system.replaceState(pid, [])])
        await expect(refused).rejects.toMatchObject({ code: "noproc" });
    }));

  it("replace_state: asked for by a turn of its own, it comes after that turn (gen_server_SUITE)", () =>
    simulateSeed({ seed: 1 }, async (world) => {
      const replaced: Promise<unknown>[] = [];
      const replaceState = (pid: Pid, change: unknown) =>
        void replaced.push(node.system.replaceState(pid, change));
      const node = await world.node("n", { resources: () => ({ replaceState }) });
      const { ref } = await start(node.system);
      await ref.call.replacesItself(["first"]);
      await Promise.all(replaced);
      expect(await ref.call.heard()).toEqual(["first", "in the same turn"]);
    }).then(() => undefined));

  it("suspend, resume: a suspended server takes nothing, keeps the order, and still ends when it is told to", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      await system.suspend(pid);
      ref.cast.note(1);
      system.send(pid, 2);
      await expect(ref.call.echo(3, { timeoutMs: 100 })).rejects.toMatchObject({ code: "timeout" });
      expect(await system.statistics(pid)).toMatchObject({ status: "suspended", waiting: 3, handled: 0 });
      await system.resume(pid);
      expect(await ref.call.heard()).toEqual([1, 2]);
      expect(await system.statistics(pid)).toMatchObject({ expired: 1 });
      await system.suspend(pid);
      system.exit(pid, "shutdown");
      await world.sleep(1);
      expect(terminated).toEqual(["shutdown"]);
    }));

  it("suspend: asked for in mid-turn it holds after the turn, and a resume before that takes it back", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      ref.cast.busy(100);
      await world.sleep(10);
      await system.suspend(pid);
      await world.sleep(200);
      expect(await system.statistics(pid)).toMatchObject({ status: "suspended" });
      await system.resume(pid);
      ref.cast.busy(100);
      await world.sleep(10);
      await system.suspend(pid);
      await system.resume(pid);
      expect(await ref.call.echo("alive", { timeoutMs: 500 })).toBe("alive");
    }));

  it("get_state: of nobody is noproc, and so is suspend (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid } = await start(system);
      await system.stopProcess(pid);
      for (const asked of [system.getState(pid), system.statistics(pid), system.suspend(pid)])
        await expect(asked).rejects.toMatchObject({ code: "noproc" });
    }));
});
