/** Cases of OTP's gen_server_SUITE about many requests, many servers and servers elsewhere, by name. */

import { beforeEach, describe, expect, it } from "vitest";
import type { Pid, System } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { collector, type Request } from "./otp_requests.ts";
import { server, terminated } from "./otp_server.ts";

beforeEach(() => {
  terminated.length = 0;
});

type Crash = (thread: number) => void;

async function play(scenario: (system: System, world: World, crash: Crash) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n", { threads: 2 });
    await world.sleep(5);
    await scenario(node.system, world, (thread) => node.crashThread(thread));
  });
}

/** One on each thread. */
function servers(system: System): Promise<Pid[]> {
  return Promise.all([0, 1, 2].map((thread) => system.spawn(server, {}, { thread })));
}

async function collecting(system: System) {
  const ref = system.ref(collector, await system.spawn(collector, undefined));
  const request = (label: string, to: Pid, delayMs: number, rest: Partial<Request> = {}): void =>
    ref.cast.request({ label, to, delayMs, ...rest });
  return { ref, request };
}

describe("requests", () => {
  it("send_request: waiting 0 is a time-out, and the same request gives its reply later (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const ref = system.ref(server, await system.spawn(server, {}, { thread: 1 }));
      const request = ref.call.later(1_000);
      const waitFor = (ms: number) => Promise.race([request, world.sleep(ms).then(() => "not yet")]);
      expect(await waitFor(0)).toBe("not yet");
      expect(await waitFor(900)).toBe("not yet");
      expect(await waitFor(200)).toBe("delayed");
      expect(await waitFor(0)).toBe("delayed");
      expect(system.lateReplies()).toBe(0);
    }));

  it("send_request: to nobody is noproc, and a server that ends by shutdown says so (gen_server_SUITE)", () =>
    play(async (system) => {
      const [here, there] = await servers(system);
      if (here === undefined || there === undefined) throw new Error("both run");
      for (const pid of [here, there]) {
        const ref = system.ref(server, pid);
        await expect(ref.call.stopsWithout("shutdown")).rejects.toMatchObject({
          code: "crashed",
          details: { reason: "shutdown" },
        });
        await expect(ref.call.echo(1)).rejects.toMatchObject({ code: "noproc" });
      }
      await expect(system.ref(server, "nobody").call.echo(1)).rejects.toMatchObject({ code: "noproc" });
    }));

  it("send_request_wait_reqid_collection: answers come as they are ready, by label (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pids = await servers(system);
      const { ref, request } = await collecting(system);
      for (const [i, to] of pids.entries()) {
        request(`slow ${i}`, to, 3_000 + i * 100);
        request(`quick ${i}`, to, 300 - i * 100);
      }
      await world.sleep(4_000);
      const { answers, open } = await ref.call.collected();
      expect(answers).toEqual(
        ["quick 2", "quick 1", "quick 0", "slow 0", "slow 1", "slow 2"].map((label) => [label, "delayed"]),
      );
      expect(open).toBe(0);
    }));

  it("send_request_wait_reqid_collection: a time-out is one's own and abandons nobody else (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const [, to] = await servers(system);
      if (to === undefined) throw new Error("it runs");
      const { ref, request } = await collecting(system);
      request("patient", to, 1_000);
      request("impatient", to, 500, { timeoutMs: 100 });
      await world.sleep(200);
      expect(await ref.call.collected()).toMatchObject({ answers: [["impatient", "timeout"]], open: 1 });
      await world.sleep(1_000);
      expect(await ref.call.collected()).toMatchObject({
        answers: [
          ["impatient", "timeout"],
          ["patient", "delayed"],
        ],
        open: 0,
      });
    }));

  it("send_request_check_reqid_collection: other messages are no replies (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const [, to, other] = await servers(system);
      if (to === undefined || other === undefined) throw new Error("both run");
      const { ref, request } = await collecting(system);
      expect(await ref.call.collected()).toEqual({ answers: [], others: [], open: 0 });
      request("asked", to, 100);
      request("of the dead", other, 100);
      await world.sleep(10);
      system.send(ref.target, "unrelated");
      system.exit(other, "killed");
      await world.sleep(50);
      expect(await ref.call.collected()).toMatchObject({ others: ["unrelated"], open: 1 });
      await world.sleep(100);
      expect(await ref.call.collected()).toEqual({
        answers: [
          ["of the dead", "crashed"],
          ["asked", "delayed"],
        ],
        others: ["unrelated"],
        open: 0,
      });
    }));

  it("call_with_huge_message_queue: an answer overtakes its caller's mailbox (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const [to] = await servers(system);
      if (to === undefined) throw new Error("it runs");
      const pid = await system.spawn(collector, undefined);
      const ref = system.ref(collector, pid);
      const answer = ref.call.askAndWait(to);
      for (let n = 0; n < 10_000; n++) system.send(pid, n);
      await world.sleep(50);
      expect(await system.statistics(pid)).toMatchObject({ status: "busy", waiting: 10_000 });
      expect(await answer).toBe("delayed before 0 others");
      expect((await ref.call.collected()).others).toHaveLength(10_000);
    }));
});

describe("many servers", () => {
  it("abcast: servers of every thread hear it; one that is gone is a dead letter (gen_server_SUITE)", () =>
    play(async (system, world) => {
      const pids = await servers(system);
      const refs = pids.map((pid) => system.ref(server, pid));
      for (const ref of refs) ref.cast.note("to all");
      const delayed = refs.map((ref) => ref.call.later(100));
      for (const ref of refs) expect(await ref.call.heard()).toEqual(["to all"]);
      expect(await Promise.all(delayed)).toEqual(["delayed", "delayed", "delayed"]);
      for (const ref of refs) ref.cast.stop("shutdown");
      await world.sleep(10);
      expect(terminated).toEqual(["shutdown", "shutdown", "shutdown"]);
      for (const ref of refs) ref.cast.note("too late");
      await world.sleep(10);
      expect(system.deadLetters().noproc).toBe(1);
    }));

  it("cast_fast: to the dead and to nobody it returns, and each is counted (gen_server_SUITE)", () =>
    play(async (system, world, crash) => {
      const [here, there] = await servers(system);
      if (here === undefined || there === undefined) throw new Error("both run");
      await system.stopProcess(here);
      crash(1);
      await world.sleep(1);
      for (let n = 0; n < 1_000; n++)
        for (const to of [here, there, "nobody"]) system.ref(server, to).cast.note(n);
      expect(system.deadLetters()).toMatchObject({ noproc: 2_000, thread_down: 1_000 });
    }));

  it("multicall: the replies of all, and who is not there by itself (gen_server_SUITE)", () =>
    play(async (system) => {
      const pids = await servers(system);
      const targets = [...pids, "nobody"];
      const called = await Promise.allSettled(targets.map((to, n) => system.ref(server, to).call.echo(n)));
      expect(called.map((each) => (each.status === "fulfilled" ? each.value : each.reason.code))).toEqual([
        0,
        1,
        2,
        "noproc",
      ]);
    }));

  it("multicall_down: a thread that dies fails its own calls, the others wait on (gen_server_SUITE)", () =>
    play(async (system, world, crash) => {
      const pids = await servers(system);
      const patience = { timeoutMs: 600_000 };
      const endedMs: number[] = [];
      const called = Promise.allSettled(
        pids.map((pid) =>
          system
            .ref(server, pid)
            .call.later(60_000, patience)
            .finally(() => endedMs.push(world.nowMs)),
        ),
      );
      await world.sleep(100);
      crash(1);
      expect(
        (await called).map((each) => (each.status === "fulfilled" ? each.value : each.reason.code)),
      ).toEqual(["delayed", "crashed", "delayed"]);
      expect(endedMs[0]).toBeLessThan(200);
    }));
});

describe("a server elsewhere", () => {
  /** Waits for calls in each way in which a server can have them. */
  function calling(system: System, to: Pid | string) {
    const ref = system.ref(server, to);
    const patience = { timeoutMs: 600_000 };
    const calls = [
      ref.call.never(undefined, patience),
      ref.call.takes(60_000, patience),
      ref.call.echo(1, patience),
    ];
    return Promise.allSettled(calls).then((outcomes) =>
      outcomes.map((each) => (each.status === "rejected" ? each.reason.code : each.value)),
    );
  }

  it.each([
    ["call_remote1: one that is killed fails its callers at once, by name (gen_server_SUITE)", "hubba"],
    ["call_remote2: one that is killed fails its callers at once, by pid (gen_server_SUITE)", "pid"],
    [
      "call_remote3: one that is killed fails a process that calls it from a third thread (gen_server_SUITE)",
      "third",
    ],
  ])("%s", (_, by) =>
    play(async (system, world) => {
      const pid = await system.spawn(server, {}, { thread: 1, name: "hubba" });
      const to = by === "hubba" ? by : pid;
      const asking = system.ref(collector, await system.spawn(collector, undefined, { thread: 2 }));
      asking.cast.request({ label: "asked", to: pid, delayMs: 60_000, timeoutMs: 600_000 });
      const called = calling(system, to);
      await world.sleep(10);
      const begunMs = world.nowMs;
      system.exit(pid, "killed");
      expect(await called).toEqual(["crashed", "crashed", "crashed"]);
      await world.sleep(10);
      expect(await asking.call.collected()).toMatchObject({ answers: [["asked", "crashed"]] });
      expect(world.nowMs - begunMs).toBeLessThan(50);
      expect(await calling(system, to)).toEqual(["noproc", "noproc", "noproc"]);
    }),
  );

  it.each([
    [
      "call_remote_n1: one whose thread is gone fails its callers at once, by name (gen_server_SUITE)",
      "hubba",
    ],
    ["call_remote_n2: one whose thread is gone fails its callers at once, by pid (gen_server_SUITE)", "pid"],
  ])("%s", (_, by) =>
    play(async (system, world, crash) => {
      const pid = await system.spawn(server, {}, { thread: 1, name: "hubba" });
      const to = by === "hubba" ? by : pid;
      const called = calling(system, to);
      await world.sleep(10);
      const begunMs = world.nowMs;
      crash(1);
      expect(await called).toEqual(["crashed", "crashed", "crashed"]);
      expect(world.nowMs - begunMs).toBeLessThan(50);
      expect(await calling(system, to)).toEqual(["noproc", "noproc", "noproc"]);
      // The same pid stays dead when the thread is back.
      await world.sleep(10_000);
      expect(await calling(system, to)).toEqual(["noproc", "noproc", "noproc"]);
    }),
  );

  it("call_remote_n3: one whose node is gone fails its callers within seconds (gen_server_SUITE)", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const nodeOf = (name: string): string | undefined => (name === "hubba" ? "remote" : undefined);
      const near = await world.node("near", { nodeOf });
      const remote = await world.node("remote", { nodeOf });
      await remote.system.spawn(server, {}, { name: "hubba" });
      const ref = near.system.ref(server, "hubba");
      expect(await ref.call.echo(1)).toBe(1);
      const called = Promise.allSettled([
        ref.call.never(undefined, { timeoutMs: 600_000 }),
        ref.call.takes(60_000, { timeoutMs: 600_000 }),
      ]);
      await world.sleep(100);
      const begunMs = world.nowMs;
      remote.crash();
      const codes = (await called).map((each) => each.status === "rejected" && each.reason.code);
      expect(world.nowMs - begunMs).toBeLessThan(5_000);
      expect(codes).toEqual(["crashed", "crashed"]);
    });
  });
});
