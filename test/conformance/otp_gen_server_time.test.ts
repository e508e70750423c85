/** Cases of OTP's gen_server_SUITE about time, links and mailboxes, by name, in virtual time. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Info, MailboxLimits, Pid, Ref, System } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { resetScript, watcher } from "./otp_children.ts";
import { bare, server, terminated } from "./otp_server.ts";
import { play, type Server, start } from "./otp_servers.ts";

beforeEach(() => {
  terminated.length = 0;
  resetScript();
});

describe("continue", () => {
  it("continue: from init it comes before the first message (gen_server_SUITE)", () =>
    play(async (system) => {
      const { ref } = await start(system, { start: "continue" });
      ref.cast.note("first message");
      expect(await ref.call.heard()).toEqual(["continued from init", "first message"]);
    }));

  it("continue: from a call, before what was queued already, in its order (gen_server_SUITE)", () =>
    play(async (system) => {
      const { ref } = await start(system);
      const continued = ref.call.continues(["a", "b"]);
      ref.cast.note("queued");
      await continued;
      expect(await ref.call.heard()).toEqual(["a", "b", "queued"]);
    }));

  it("continue: from info, and it may stop, before what was queued (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid, ref } = await start(system);
      system.send(pid, "continue");
      ref.cast.note("behind");
      expect(await ref.call.heard()).toEqual(["continued from info", "behind"]);
      ref.cast.stopInNextTurn();
      await expect(ref.call.heard()).rejects.toMatchObject({ details: { reason: "shutdown" } });
      expect(terminated).toEqual(["shutdown"]);
    }));

  it("continue: chains, and nothing comes between its links (gen_server_SUITE)", () =>
    play(async (system) => {
      const { ref } = await start(system);
      ref.cast.chain(3);
      ref.cast.note("behind");
      expect(await ref.call.heard()).toEqual([3, 2, 1, 0, "behind"]);
    }));
});

describe("time-outs of the server", () => {
  it("start_event_timeout: fires once after init if nothing comes (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const idle = await start(system, { start: "idle" });
      const interrupted = await start(system, { start: "idle" });
      await world.sleep(50);
      interrupted.ref.cast.note("message");
      await world.sleep(500);
      expect(await idle.ref.call.heard()).toEqual(["idle after init"]);
      expect(await interrupted.ref.call.heard()).toEqual(["message"]);
    }));

  it("handle_event_timeout: fires when nothing comes, also while suspended (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      await ref.call.idles(100);
      await world.sleep(90);
      system.send(pid, "interrupts");
      await world.sleep(200);
      expect(await ref.call.heard()).toEqual(["interrupts"]);
      await ref.call.idles(100);
      await system.suspend(pid);
      await world.sleep(200);
      await system.resume(pid);
      expect(await ref.call.heard()).toEqual(["interrupts", "idle 100"]);
      await ref.call.idles(0);
      await world.sleep(2);
      expect(await ref.call.heard()).toContain("idle 0");
    }));

  it("handle_event_timeout: a wish is renewed in each turn, and waits for an empty mailbox (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { ref } = await start(system);
      ref.cast.idlesAgain(10);
      ref.cast.busy(100);
      await world.sleep(105);
      expect(await ref.call.heard()).toEqual(["again"]);
      ref.cast.idlesAgain(10);
      await world.sleep(35);
      expect(await ref.call.heard()).toEqual(["again", "again", "again", "again", "again"]);
      await world.sleep(100);
      expect(await ref.call.heard()).toHaveLength(5);
    }));

  it("handle_event_timeout: asked for in a continue it fires, unless interrupted (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { ref } = await start(system);
      ref.cast.idleInNextTurn(100);
      await world.sleep(350);
      ref.cast.note("interrupts");
      await world.sleep(1_000);
      expect(await ref.call.heard()).toEqual(["again", "again", "again", "again", "interrupts"]);
    }));

  it("handle_event_timeout: none fires after the end of its server (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      await ref.call.idles(10);
      await system.stopProcess(pid);
      await world.sleep(100);
      expect(system.deadLetters().noproc).toBe(0);
    }));
});

describe("links and monitors", () => {
  async function watch(system: System): Promise<Ref<typeof watcher>> {
    return system.ref(watcher, await system.spawn(watcher, { traps: true }));
  }

  it.each([0, 1])(
    "a monitor hears each end exactly once, whatever the reason; on thread %i",
    async (thread) => {
      await simulateSeed({ seed: 1 }, async (world) => {
        const node = await world.node("n", { threads: 1 });
        await world.sleep(5);
        const { system } = node;
        const watching = await watch(system);
        const expected: Info[] = [];
        for (const reason of ["normal", "shutdown", { shutdown: "why" }, "killed"] as const) {
          const pid = await system.spawn(server, {}, { thread });
          const ref = await watching.call.monitor(pid);
          system.exit(pid, reason);
          await world.sleep(10);
          expected.push({ type: "down", ref, pid, reason });
          const late = await watching.call.monitor(pid);
          await world.sleep(10);
          expected.push({ type: "down", ref: late, pid, reason: "noproc" });
        }
        if (thread === 1) {
          const pid = await system.spawn(server, {}, { thread });
          const refs = [await watching.call.monitor(pid), await watching.call.monitor(pid)];
          node.crashThread(1);
          for (const ref of refs) expected.push({ type: "down", ref, pid, reason: { thread: "down" } });
          await world.sleep(1_000);
        }
        expect(await watching.call.heard()).toEqual(expected);
      });
    },
  );

  it.each([0, 1])(
    "a monitor that was given up is not heard, and one whose holder ended leaves nothing behind; on thread %i",
    async (thread) => {
      await simulateSeed({ seed: 1 }, async (world) => {
        const node = await world.node("n", { threads: 1 });
        await world.sleep(5);
        const { system } = node;
        const pid = await system.spawn(server, {}, { thread });
        const watching = await watch(system);
        const other = await watch(system);
        const ref = await watching.call.monitor(pid);
        await watching.call.demonitor(ref);
        await other.call.monitor(pid);
        await world.sleep(10);
        expect(node.processOf(pid)?.watchers?.size).toBe(1);
        if (typeof other.target !== "string") await system.stopProcess(other.target);
        await world.sleep(10);
        expect(node.processOf(pid)?.watchers?.size).toBe(0);
        system.exit(pid, "shutdown");
        await world.sleep(10);
        expect(await watching.call.heard()).toEqual([]);
      });
    },
  );

  it.each([0, 1])(
    "a link: normal ends are not contagious, others are; who traps hears of each once; on thread %i",
    async (thread) => {
      await simulateSeed({ seed: 1 }, async (world) => {
        const { system } = await world.node("n", { threads: 1 });
        await world.sleep(5);
        for (const [reason, spreads] of [
          ["normal", false],
          ["shutdown", true],
          ["killed", true],
        ] as const) {
          const pid = await system.spawn(server, {}, { thread });
          const trapping = await watch(system);
          const follower = system.ref(watcher, await system.spawn(watcher, { traps: false }));
          await trapping.call.link(pid);
          await follower.call.link(pid);
          await world.sleep(10);
          system.exit(pid, reason);
          await world.sleep(10);
          expect(await trapping.call.heard()).toEqual([{ type: "exit", pid, reason }]);
          if (spreads) await expect(follower.call.heard()).rejects.toMatchObject({ code: "noproc" });
          else expect(await follower.call.heard()).toEqual([]);
        }
      });
    },
  );

  it("a link with nobody is heard as noproc, and one that was given up is not heard", () =>
    play(async (system, world) => {
      const { pid: gone } = await start(system);
      await system.stopProcess(gone);
      const { pid } = await start(system);
      const watching = await watch(system);
      await watching.call.link(gone);
      await watching.call.link(pid);
      await watching.call.unlink(pid);
      system.exit(pid, "killed");
      await world.sleep(10);
      expect(await watching.call.heard()).toEqual([{ type: "exit", pid: gone, reason: "noproc" }]);
    }));
});

describe("AbortSignal", () => {
  it("removes a queued call before it runs, tells the server of a deferred one, and lets go of the signal", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      const controller = new AbortController();
      const { signal } = controller;
      const added = vi.spyOn(signal, "addEventListener");
      const removed = vi.spyOn(signal, "removeEventListener");
      const listeners = (): number => added.mock.calls.length - removed.mock.calls.length;
      const deferred = ref.call.never(undefined, { signal });
      await ref.call.echo("answered", { signal });
      ref.cast.busy(100);
      const queued = ref.call.continues(["must not run"], { signal });
      await world.sleep(10);
      expect(await system.statistics(pid)).toMatchObject({ waiting: 1 });
      expect(listeners()).toBe(2);
      controller.abort();
      for (const call of [deferred, queued]) await expect(call).rejects.toMatchObject({ code: "canceled" });
      expect(listeners()).toBe(0);
      await world.sleep(200);
      expect(await ref.call.heard()).toEqual([{ canceled: expect.any(Number) }]);
      await expect(ref.call.echo(1, { signal })).rejects.toMatchObject({ code: "canceled" });
    }));
});

describe("mailbox", () => {
  async function bounded(system: System, mailbox: MailboxLimits): Promise<{ pid: Pid; ref: Server }> {
    const pid = await system.spawn(server, {}, { mailbox });
    await system.suspend(pid);
    return { pid, ref: system.ref(server, pid) };
  }

  it("refuse: the call is answered at once, casts and messages are counted, ends and timers still come in", () =>
    play(async (system, world) => {
      const pid = await system.spawn(
        watcher,
        { traps: true },
        { mailbox: { max: 1, bytesMax: Number.POSITIVE_INFINITY } },
      );
      const ref = system.ref(watcher, pid);
      const watched = await system.spawn(bare, {});
      const down = await ref.call.monitor(watched);
      await system.suspend(pid);
      system.send(pid, "fits");
      await expect(ref.call.heard()).rejects.toMatchObject({ code: "overloaded" });
      system.send(pid, "too much");
      system.exit(watched, "killed");
      await world.sleep(10);
      await system.resume(pid);
      await world.sleep(1);
      expect(await ref.call.heard()).toEqual([
        { type: "message", message: "fits" },
        { type: "down", ref: down, pid: watched, reason: "killed" },
      ]);
      expect(system.deadLetters().refused).toBe(2);
    }));

  it("discard: the oldest makes room, a call among them is told, what the runtime owes stays", () =>
    play(async (system, world) => {
      const mailbox = { max: 3, bytesMax: Number.POSITIVE_INFINITY, whenFull: "discard" } as const;
      const pid = await system.spawn(watcher, { traps: true }, { mailbox });
      const ref = system.ref(watcher, pid);
      const watched = await system.spawn(bare, {});
      const down = await ref.call.monitor(watched);
      await system.suspend(pid);
      system.exit(watched, "killed");
      await world.sleep(1);
      const call = ref.call.heard();
      for (let n = 0; n < 6; n++) system.send(pid, n);
      await expect(call).rejects.toMatchObject({ code: "overloaded" });
      expect(await system.statistics(pid)).toMatchObject({ waiting: 3, discarded: 5 });
      expect(system.deadLetters().discarded).toBe(5);
      await system.resume(pid);
      await world.sleep(1);
      expect(await ref.call.heard()).toEqual([
        { type: "down", ref: down, pid: watched, reason: "killed" },
        { type: "message", message: 4 },
        { type: "message", message: 5 },
      ]);
    }));

  it("bytes: what is taken, withdrawn or dropped makes room again; what can never fit is refused", () =>
    play(async (system, world) => {
      const { pid, ref } = await bounded(system, { max: 100, bytesMax: 1_000 });
      const big = "x".repeat(600);
      for (let round = 0; round < 3; round++) {
        const controller = new AbortController();
        const call = ref.call.echo(big, { signal: controller.signal });
        controller.abort();
        await expect(call).rejects.toMatchObject({ code: "canceled" });
      }
      ref.cast.note(big);
      ref.cast.note(big);
      expect(await system.statistics(pid)).toMatchObject({ waiting: 1, refused: 1 });
      await system.resume(pid);
      await world.sleep(1);
      expect(await ref.call.echo(big)).toBe(big);
      await expect(ref.call.echo(big + big)).rejects.toMatchObject({ code: "overloaded" });
    }));
});
