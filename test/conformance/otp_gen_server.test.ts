/**
 * Cases of OTP's gen_server_SUITE, by name, in virtual time; time, sys and links: otp_gen_server_time.test.
 */

import { beforeEach, describe, expect, it } from "vitest";
import { codecLimits } from "../../src/base/limits.ts";
import { genServer, type Pid, type Ref, type System } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { bare, type ServerOptions, server, terminated, unshowable } from "./otp_server.ts";

type Server = Ref<typeof server>;

/*
 * Not ported, or with another meaning here:
 *
 * - hibernate, auto_hibernate: refused: a process that waits costs its state and an empty mailbox; there is no heap
 *   of its own to shrink
 * - replace_state: refused: a function does not cross threads; a server that allows it has a call for it
 * - undef_code_change, code_change: no hot code upgrade
 * - abcast, multicall, multicall_down: one node here; over many servers, Promise.allSettled of calls
 * - send_request_*_reqid_collection: a promise is the request's id; Promise.race and Map are its collections
 * - call, bad return: a handler's return value is the reply, so there is no bad one
 * - otp_5854, undef_in_terminate, error_format_status: of Erlang's own error formats
 * - start: stop with a reason from init: a thrown NanoError: its code and details reach the starter
 */

beforeEach(() => {
  terminated.length = 0;
});

async function play(scenario: (system: System, world: World) => Promise<void>, threads = 0): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const { system } = await world.node("n", { threads });
    await world.sleep(5);
    await scenario(system, world);
  });
}

async function start(
  system: System,
  options: ServerOptions = {},
  name = "",
): Promise<{ pid: Pid; ref: Server }> {
  const pid = await system.spawn(server, options, name === "" ? {} : { name });
  return { pid, ref: system.ref(server, pid) };
}

function reports(world: World) {
  return world.logged.filter(({ message }) => message.startsWith("process crashed"));
}

describe("gen_server_SUITE: start", () => {
  it("start: anonymous and named, by pid and by name; after the stop there is nobody", () =>
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

  it("start: an init that takes too long fails the start and leaves neither process nor name", () =>
    play(async (system, world) => {
      const started = system.spawn(server, { start: "never" }, { name: "slow", initTimeoutMs: 100 });
      await expect(started).rejects.toMatchObject({ code: "timeout" });
      expect(world.nowMs).toBeLessThan(200);
      expect(system.whereis("slow")).toBeUndefined();
    }));

  it("start: ignore starts nothing and is no crash", () =>
    play(async (system, world) => {
      await expect(start(system, { start: "ignore" }, "absent")).rejects.toMatchObject({ code: "ignored" });
      expect(system.whereis("absent")).toBeUndefined();
      expect(reports(world)).toEqual([]);
    }));

  it("start: what init refuses reaches the starter, code and details", () =>
    play(async (system) => {
      const refusal = { code: "unavailable", details: { until: "tomorrow" } };
      await expect(start(system, { start: "refuse" })).rejects.toMatchObject(refusal);
      const elsewhere = system.spawn(server, { start: "refuse" }, { thread: 1 });
      await expect(elsewhere).rejects.toMatchObject(refusal);
    }, 1));

  it("undef_init: a definition without init is refused where it is made", () => {
    const declare = () => genServer(import.meta.url, "nothing", {} as { init: () => undefined });
    expect(declare).toThrow(expect.objectContaining({ code: "undef", details: { field: "init" } }));
  });
});

describe("gen_server_SUITE: stop", () => {
  it("stop1: normal; a second stop finds nobody", () =>
    play(async (system) => {
      const { pid } = await start(system);
      await system.stopProcess(pid);
      expect(terminated).toEqual(["normal"]);
      await expect(system.stopProcess(pid)).rejects.toMatchObject({ code: "noproc" });
    }));

  it("stop2: with a reason of its own, which terminate hears", () =>
    play(async (system, world) => {
      const { pid } = await start(system);
      await system.stopProcess(pid, { reason: { shutdown: "maintenance" }, timeoutMs: 1_000 });
      expect(terminated).toEqual([{ shutdown: "maintenance" }]);
      expect(reports(world)).toEqual([]);
    }));

  it("stop3: an invalid time-out leaves the server alive", () =>
    play(async (system) => {
      const { pid, ref } = await start(system);
      for (const timeoutMs of [-1, Number.NaN]) {
        await expect(system.stopProcess(pid, { timeoutMs })).rejects.toMatchObject({ code: "bad_argument" });
        await expect(ref.call.echo(1, { timeoutMs })).rejects.toMatchObject({ code: "bad_argument" });
      }
      expect(await ref.call.echo(1)).toBe(1);
    }));

  it("stop4, stop7: by name; a name that nobody holds is noproc", () =>
    play(async (system) => {
      await start(system, {}, "to_stop");
      await system.stopProcess("to_stop");
      await expect(system.stopProcess("to_stop")).rejects.toMatchObject({ code: "noproc" });
    }));

  it("stop5, stop6, stop8: of a server on another thread, and one that is late is left to end by itself", () =>
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

  it("stop9, stop10: a server that ends for another reason meanwhile says for which", () =>
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

describe("gen_server_SUITE: missing callbacks", () => {
  it("undef_handle_call, undef_handle_cast: crash with undef, which the caller hears", () =>
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

  it("undef_handle_continue: crash with undef", () =>
    play(async (system, world) => {
      const { ref } = await start(system, {}, "continues");
      await ref.call.continuesInto("nowhere");
      await world.sleep(1);
      expect(system.whereis("continues")).toBeUndefined();
      expect(reports(world)[0]?.message).toContain("nowhere");
    }));

  it("undef_handle_info: only warns", () =>
    play(async (system, world) => {
      const pid = await system.spawn(bare, {});
      system.send(pid, "hello");
      expect(await system.ref(bare, pid).call.ping()).toBe("pong");
      expect(world.logged.map(({ message }) => message)).toContain("unexpected info dropped");
    }));

  it("undef_terminate1, undef_terminate2: without terminate the reason is kept", () =>
    play(async (system, world) => {
      const pid = await system.spawn(bare, {});
      const watching = await start(system);
      await system.stopProcess(pid, { reason: { shutdown: "asked" } });
      const other = await system.spawn(bare, {});
      expect(await system.ref(bare, other).call.stops()).toBe("bye");
      await world.sleep(1);
      await expect(system.stopProcess(other)).rejects.toMatchObject({ code: "noproc" });
      expect(await watching.ref.call.heard()).toEqual([]);
    }));
});

describe("gen_server_SUITE: messages", () => {
  it("call: direct, delayed, and too late: the late reply is dropped and counted", () =>
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
    "call: a second reply is dropped and counted, the first one stands; on thread %i",
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

  it("send_request: requests answer in the order in which they are done, a time-out of one leaves the others", () =>
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

  it("cast, info: in the order in which they were sent, and each may stop the server", () =>
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

  it("call_remote: a server that is killed, or whose thread dies, fails its callers at once", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n", { threads: 1 });
      await world.sleep(5);
      const { system } = node;
      for (const death of ["killed", "thread"] as const) {
        const pid = await system.spawn(server, {}, { thread: 1 });
        const ref = system.ref(server, pid);
        const patience = { timeoutMs: 600_000 };
        const calls = [
          ref.call.never(undefined, patience),
          ref.call.takes(60_000, patience),
          ref.call.echo(1, patience),
        ];
        const outcomes = Promise.allSettled(calls);
        await world.sleep(10);
        const begunMs = world.nowMs;
        if (death === "killed") system.exit(pid, "killed");
        else node.crashThread(1);
        const codes = (await outcomes).map((each) => each.status === "rejected" && each.reason.code);
        expect(codes).toEqual(["crashed", "crashed", "crashed"]);
        expect(world.nowMs - begunMs).toBeLessThan(50);
        await expect(ref.call.echo(1)).rejects.toMatchObject({ code: "noproc" });
      }
    });
  });

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

describe("gen_server_SUITE: crash", () => {
  it("crash: normal, shutdown and { shutdown: _ } write no report", () =>
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

  it("crash: a report names the last message, the client, the state as formatStatus shows it, and the stack", () =>
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

  it("crash: in a cast, in info, and by a stop with a crash: one report each", () =>
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

  it("call_format_status: a formatStatus that throws spoils neither the report nor the end", () =>
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
