/**
 * Cases of OTP's gen_server_SUITE, by name, in virtual time; sys, time and links: otp_gen_server_sys and _time.
 */

import { beforeEach, describe, expect, it } from "vitest";
import { codecLimits } from "../../src/base/limits.ts";
import { genServer, type Ref, type System } from "../../src/index.ts";
import type { World } from "../../src/simulation/index.ts";
import { watcher } from "./otp_children.ts";
import { badly_ending, bare, server, terminated, unshowable } from "./otp_server.ts";
import { play, start } from "./otp_servers.ts";

beforeEach(() => {
  terminated.length = 0;
});

async function watch(system: System): Promise<Ref<typeof watcher>> {
  return system.ref(watcher, await system.spawn(watcher, { traps: true }));
}

function reports(world: World) {
  return world.logged.filter(({ message }) => message.startsWith("process crashed"));
}

describe("start", () => {
  it("start: anonymous and named, by pid and by name; after the stop there is nobody (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid, ref } = await start(system, {}, "my_test_name");
      const named = system.ref(server, "my_test_name");
      expect(await Promise.all([ref.call.echo(1), named.call.echo(2)])).toEqual([1, 2]);
      await expect(start(system, {}, "my_test_name")).rejects.toMatchObject({
        code: "already_started",
        details: { pid },
      });
      await system.stopProcess("my_test_name");
      for (const call of [ref.call.echo(1), named.call.echo(2)])
        await expect(call).rejects.toMatchObject({ code: "noproc" });
      await start(system, {}, "my_test_name");
    }));

  it("start: an init that takes too long fails the start and leaves neither process nor name (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const started = system.spawn(server, { start: "never" }, { name: "slow", initTimeoutMs: 100 });
      await expect(started).rejects.toMatchObject({ code: "timeout" });
      expect(world.nowMs).toBeLessThan(200);
      expect(system.whereis("slow")).toBeUndefined();
    }));

  it("start: ignore starts nothing and is no crash (gen_server_SUITE)", () =>
    play(async (system, world) => {
      await expect(start(system, { start: "ignore" }, "absent")).rejects.toMatchObject({ code: "ignored" });
      expect(system.whereis("absent")).toBeUndefined();
      expect(reports(world)).toEqual([]);
    }));

  it("start: what init refuses reaches the starter, code and details (gen_server_SUITE)", () =>
    play(async (system) => {
      const refusal = { code: "unavailable", details: { until: "tomorrow" } };
      await expect(start(system, { start: "refuse" })).rejects.toMatchObject(refusal);
      const elsewhere = system.spawn(server, { start: "refuse" }, { thread: 1 });
      await expect(elsewhere).rejects.toMatchObject(refusal);
    }, 1));

  it("undef_init: a definition without init is refused where it is made (gen_server_SUITE)", () => {
    const declare = () => genServer(import.meta.url, "nothing", {} as { init: () => undefined });
    expect(declare).toThrow(expect.objectContaining({ code: "undef", details: { field: "init" } }));
  });
});

describe("start: by a linked starter", () => {
  it.each([0, 1])(
    "start: a linked starter that traps hears of the end once, with its reason; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system, world) => {
        const watching = await watch(system);
        const pid = await watching.call.start({ options: { id: "linked" }, thread });
        await system.stopProcess(pid, { reason: { shutdown: "asked" } });
        await world.sleep(10);
        expect(await watching.call.heard()).toEqual([{ type: "exit", pid, reason: { shutdown: "asked" } }]);
      }, 1),
  );

  it.each([0, 1])(
    "otp_7669: when a start fails its name is free, and the next start has it; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system) => {
        const spawn = { name: "my_test_name", thread };
        for (let round = 0; round < 20; round++) {
          await expect(system.spawn(server, { start: "refuse" }, spawn)).rejects.toMatchObject({
            code: "unavailable",
          });
          expect(system.whereis("my_test_name")).toBeUndefined();
          const pid = await system.spawn(server, {}, spawn);
          await system.stopProcess(pid);
          expect(system.whereis("my_test_name")).toBeUndefined();
        }
      }, 1),
  );
});

describe("stop", () => {
  it("stop1: normal; a second stop finds nobody (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid } = await start(system);
      await system.stopProcess(pid);
      expect(terminated).toEqual(["normal"]);
      await expect(system.stopProcess(pid)).rejects.toMatchObject({ code: "noproc" });
    }));

  it("stop2: with a reason of its own, which terminate hears (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid } = await start(system);
      await system.stopProcess(pid, { reason: { shutdown: "maintenance" }, timeoutMs: 1_000 });
      expect(terminated).toEqual([{ shutdown: "maintenance" }]);
      expect(reports(world)).toEqual([]);
    }));

  it("stop3: an invalid time-out leaves the server alive (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid, ref } = await start(system);
      for (const timeoutMs of [-1, Number.NaN]) {
        await expect(system.stopProcess(pid, { timeoutMs })).rejects.toMatchObject({ code: "bad_argument" });
        await expect(ref.call.echo(1, { timeoutMs })).rejects.toMatchObject({ code: "bad_argument" });
      }
      expect(await ref.call.echo(1)).toBe(1);
    }));

  it("stop4, stop7: by name; a name that nobody holds is noproc (gen_server_SUITE)", () =>
    play(async (system) => {
      await start(system, {}, "to_stop");
      await system.stopProcess("to_stop");
      await expect(system.stopProcess("to_stop")).rejects.toMatchObject({ code: "noproc" });
    }));

  it("stop5, stop6, stop8: on another thread; one that is late ends by itself (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pid = await system.spawn(server, {}, { thread: 1, name: "remote" });
      system.ref(server, pid).cast.busy(1_000);
      await expect(system.stopProcess("remote", { timeoutMs: 100 })).rejects.toMatchObject({
        code: "timeout",
      });
      expect(system.whereis("remote")).toEqual(pid);
      await world.sleep(1_000);
      expect(system.whereis("remote")).toBeUndefined();
      expect(terminated).toEqual(["normal"]);
    }, 1));

  it("stop9, stop10: a server that ends for another reason meanwhile says for which (gen_server_SUITE)", () =>
    play(async (system) => {
      const { pid, ref } = await start(system);
      ref.cast.busy(100);
      const stopped = system.stopProcess(pid);
      system.exit(pid, "killed");
      await expect(stopped).rejects.toMatchObject({ code: "crashed", details: { reason: "killed" } });
    }));

  it("a handler's stop: with a reply the caller has it, without one the call fails with the reason", () =>
    play(async (system) => {
      const replying = await start(system);
      expect(await replying.ref.call.stopsAfterReply()).toBe("bye");
      for (const how of ["normal", "shutdown"] as const) {
        const silent = await start(system);
        await expect(silent.ref.call.stopsWithout(how)).rejects.toMatchObject({
          code: "crashed",
          details: { reason: how },
        });
      }
      expect(terminated).toEqual([{ shutdown: "asked" }, "normal", "shutdown"]);
    }));
});

describe("missing callbacks", () => {
  it("undef_handle_call, undef_handle_cast: crash with undef, which the caller hears (gen_server_SUITE)", () =>
    play(async (system, world) => {
      for (const kind of ["call", "cast"] as const) {
        const pid = await system.spawn(bare, {}, { name: kind });
        // As a caller whose module is newer than the server's would.
        const newer = system.ref(server, pid);
        if (kind === "call")
          await expect(newer.call.echo(1)).rejects.toMatchObject({
            details: { reason: { crash: { code: "undef" } } },
          });
        else newer.cast.note(1);
        await world.sleep(1);
        expect(system.whereis(kind)).toBeUndefined();
      }
      expect(reports(world)).toHaveLength(2);
    }));

  it("undef_handle_continue: crash with undef (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { ref } = await start(system, {}, "continues");
      await ref.call.continuesInto("nowhere");
      await world.sleep(1);
      expect(system.whereis("continues")).toBeUndefined();
      expect(reports(world)[0]?.message).toContain("nowhere");
    }));

  it("undef_handle_info: only warns (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pid = await system.spawn(bare, {});
      system.send(pid, "hello");
      expect(await system.ref(bare, pid).call.ping()).toBe("pong");
      expect(world.logged.map(({ message }) => message)).toContain("unexpected info dropped");
    }));

  it("undef_terminate1, undef_terminate2: without terminate the reason is kept (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const watching = await watch(system);
      const asked = await system.spawn(bare, {});
      const own = await system.spawn(bare, {});
      const refs = [await watching.call.monitor(asked), await watching.call.monitor(own)];
      await system.stopProcess(asked, { reason: { shutdown: "maintenance" } });
      expect(await system.ref(bare, own).call.stops()).toBe("bye");
      await world.sleep(1);
      expect(await watching.call.heard()).toEqual([
        { type: "down", ref: refs[0], pid: asked, reason: { shutdown: "maintenance" } },
        { type: "down", ref: refs[1], pid: own, reason: { shutdown: "asked" } },
      ]);
      expect(reports(world)).toEqual([]);
    }));

  it("undef_in_handle_info: a function that is missing inside info is a crash (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pid = await system.spawn(unshowable, undefined, { name: "inner" });
      system.send(pid, "call what is not there");
      await world.sleep(1);
      expect(system.whereis("inner")).toBeUndefined();
      expect(reports(world)[0]?.message).toContain("is not a function");
    }));

  it("undef_in_terminate: what is missing inside terminate is the reason of the end (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const watching = await watch(system);
      const pid = await system.spawn(badly_ending, { how: "undef" });
      await watching.call.monitor(pid);
      await expect(system.stopProcess(pid)).rejects.toMatchObject({ code: "crashed" });
      const [down] = await watching.call.heard();
      expect(down).toMatchObject({
        reason: { crash: { message: expect.stringContaining("is not a function") } },
      });
      expect(reports(world)).toHaveLength(1);
    }));
});

describe("messages", () => {
  it("call: direct, delayed, and too late: the late reply is dropped and counted (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { ref } = await start(system);
      expect(await ref.call.echo("direct")).toBe("direct");
      expect(await ref.call.later(1_000)).toBe("delayed");
      await expect(ref.call.later(1_000, { timeoutMs: 500 })).rejects.toMatchObject({ code: "timeout" });
      expect(system.lateReplies()).toBe(0);
      await world.sleep(1_000);
      expect(system.lateReplies()).toBe(1);
      expect(await ref.call.echo("alive")).toBe("alive");
    }));

  it.each([0, 1])(
    "call: a second reply is dropped and counted, the first one stands; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system, world) => {
        const pid = await system.spawn(server, {}, { thread });
        expect(await system.ref(server, pid).call.answersTwice()).toBe("first");
        await world.sleep(10);
        expect(system.lateReplies()).toBe(1);
        // Nothing is owed any more: the end of the server sends no third answer.
        await system.stopProcess(pid);
        await world.sleep(10);
        expect(system.lateReplies()).toBe(1);
      }, 1),
  );

  it("send_request: answers come as they are ready, a time-out is one's own (gen_server_SUITE)", () =>
    play(async (system) => {
      const { ref } = await start(system);
      const order: string[] = [];
      const note = (label: string) => () => void order.push(label);
      await Promise.all([
        ref.call.later(300).then(note("slow")),
        ref.call.later(100).then(note("quick")),
        ref.call.later(200, { timeoutMs: 150 }).catch(note("late")),
      ]);
      expect(order).toEqual(["quick", "late", "slow"]);
    }));

  it("cast, info: in the order in which they were sent, and each may stop the server (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system);
      ref.cast.note("cast");
      system.send(pid, "info");
      ref.cast.note("cast again");
      expect(await ref.call.heard()).toEqual(["cast", "info", "cast again"]);
      system.send(pid, "stop");
      await world.sleep(1);
      const other = await start(system);
      other.ref.cast.stop("shutdown");
      await world.sleep(1);
      expect(terminated).toEqual([{ shutdown: "by message" }, "shutdown"]);
      ref.cast.note("to nobody");
      system.send(pid, "to nobody");
      expect(system.deadLetters().noproc).toBe(2);
    }));

  it("a deferred call is answered by another process, also from another thread, from its caller as plain data", () =>
    play(async (system) => {
      const { ref } = await start(system);
      const neighbour = await start(system);
      const remote = system.ref(server, await system.spawn(server, {}, { thread: 1 }));
      const waiting = [ref.call.never(), ref.call.never()];
      const [first, second] = await ref.call.owed();
      if (first === undefined || second === undefined) throw new Error("two wait");
      await neighbour.ref.call.answerFor({ from: first, value: "by a neighbour" });
      await remote.call.answerFor({ from: second, value: "by a remote one" });
      expect(await Promise.all(waiting)).toEqual(["by a neighbour", "by a remote one"]);
      await system.stopProcess(ref.target);
      expect(system.lateReplies()).toBe(1);
    }, 1));

  it("a message that can't be sent to another thread fails its call at once, in both directions", () =>
    play(async (system, world) => {
      const ref = system.ref(server, await system.spawn(server, {}, { thread: 1 }));
      await expect(ref.call.echo(() => 1)).rejects.toMatchObject({ code: "bad_argument" });
      let deep: unknown = "the outcome around it is one level more";
      for (let level = 0; level < codecLimits.depthMax; level++) deep = [deep];
      await expect(ref.call.echo(deep)).rejects.toMatchObject({ code: "bad_argument" });
      expect(world.nowMs).toBeLessThan(1_000);
      expect(system.deadLetters().unsendable).toBe(1);
      expect(await ref.call.echo("alive")).toBe("alive");
    }, 1));
});

describe("crash", () => {
  it("crash: normal, shutdown and { shutdown: _ } write no report (gen_server_SUITE)", () =>
    play(async (system, world) => {
      for (const reason of ["normal", "shutdown", { shutdown: "reason" }] as const) {
        const { pid } = await start(system);
        await system.stopProcess(pid, { reason });
      }
      const { ref } = await start(system);
      ref.cast.stop("shutdown");
      await world.sleep(1);
      expect(reports(world)).toEqual([]);
    }));

  it("crash: a report has last message, client, stack, and the state that formatStatus shows (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const { pid, ref } = await start(system, {}, "fragile");
      ref.cast.note("before");
      await expect(ref.call.crash()).rejects.toMatchObject({
        code: "crashed",
        message: expect.stringContaining("TypeError: boom"),
        details: { reason: { crash: { message: "TypeError: boom" } } },
      });
      const [report, ...others] = reports(world);
      expect(others).toEqual([]);
      expect(report).toMatchObject({
        message: "process crashed: TypeError: boom",
        fields: {
          name: "fragile",
          definition: "server",
          lastMessage: { kind: "call", method: "crash" },
          client: `<n.0.${pid.incarnation}.0>`,
          state: { heard: ["before"], secret: "redacted" },
          stack: expect.stringContaining("otp_server"),
        },
      });
      expect(JSON.stringify(world.logged)).not.toContain("the password");
      expect(terminated).toEqual([{ crash: { code: "crashed", message: "TypeError: boom" } }]);
    }));

  it("crash: in a cast, in info, and by a stop with a crash: one report each (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const cast = await start(system);
      cast.ref.cast.crash();
      const info = await start(system);
      system.send(info.pid, "crash");
      const stopped = await start(system);
      await expect(stopped.ref.call.stopsWithout("crash")).rejects.toMatchObject({ code: "crashed" });
      await world.sleep(1);
      expect(reports(world).map(({ message }) => message)).toEqual([
        "process crashed: TypeError: boom",
        "process crashed: TypeError: boom by message",
        "process crashed: stopped as broken",
      ]);
    }));

  it.each(["at once", "later"] as const)(
    "terminate_crash_format: a terminate that throws is reported, its state redacted; %s (gen_server_SUITE)",
    (how) =>
      play(async (system, world) => {
        const pid = await system.spawn(badly_ending, { how }, { name: "badly" });
        await expect(system.stopProcess(pid)).rejects.toMatchObject({ code: "crashed" });
        expect(reports(world)).toMatchObject([
          {
            message: "process crashed: Error: can't end",
            fields: {
              name: "badly",
              lastMessage: { kind: "terminate" },
              state: { how, secret: "redacted" },
              stack: expect.stringContaining("otp_server"),
            },
          },
        ]);
        expect(JSON.stringify(world.logged)).not.toContain("the password");
        expect(system.whereis("badly")).toBeUndefined();
      }),
  );

  it.each([0, 1])(
    "format_all_status: sys and reports show neither secrets nor contents; on thread %i (gen_server_SUITE)",
    (thread) =>
      play(async (system, world) => {
        const pid = await system.spawn(server, {}, { thread });
        const ref = system.ref(server, pid);
        await ref.call.echo("the password");
        const shown = [await system.getState(pid), await system.statistics(pid)];
        await expect(ref.call.crash()).rejects.toMatchObject({ code: "crashed" });
        const other = await system.spawn(server, {}, { thread });
        system.send(other, "crash");
        await world.sleep(10);
        expect(reports(world)).toHaveLength(2);
        expect(JSON.stringify([shown, world.logged])).not.toContain("the password");
        expect(JSON.stringify(shown)).toContain("redacted");
      }, 1),
  );

  it("call_format_status: a formatStatus that throws spoils neither the report nor the end (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pid = await system.spawn(unshowable, undefined, { name: "unshowable" });
      await expect(system.getState(pid)).rejects.toThrow("can't be shown");
      system.ref(unshowable, pid).cast.crash();
      await world.sleep(1);
      expect(system.whereis("unshowable")).toBeUndefined();
      expect(reports(world)[0]?.fields).toMatchObject({
        state: expect.stringContaining("formatStatus threw"),
      });
    }));
});
