import { describe, expect, it } from "vitest";
import { NanoError } from "../../src/base/errors.ts";
import type { From } from "../../src/core/envelope.ts";
import { genServer, noReply, type Piped, stop, stopWith } from "../../src/core/gen_server.ts";
import type { Self } from "../../src/core/self.ts";
import { refOf, testHost } from "./support.ts";

interface AccountState {
  readonly self: Self;
  balance: number;
  readonly waiting: From<number>[];
  readonly heard: unknown[];
}

const account = genServer(import.meta.url, "account", {
  init: (options: { balance: number }, self): AccountState => {
    if (options.balance < 0) throw new NanoError("bad_argument", "balance is negative");
    return { self, balance: options.balance, waiting: [], heard: [] };
  },
  call: {
    read: (state) => state.balance,
    add: (state, amount: number) => {
      if (state.balance + amount < 0) throw new NanoError("conflict", "insufficient");
      state.balance += amount;
      for (const from of state.waiting.splice(0)) state.self.reply(from, state.balance);
      return state.balance;
    },
    next: (state, _: undefined, from: From<number>) => {
      state.waiting.push(from);
      return noReply;
    },
    slow: async (state, delayMs: number) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return state.balance;
    },
    crash: (): number => {
      throw new Error("boom");
    },
    close: () => stopWith("closed"),
    heard: (state) => state.heard,
  },
  cast: {
    set: (state, balance: number) => {
      state.balance = balance;
    },
    quit: () => stop({ shutdown: "asked" }),
    fetch: (state, value: number) => {
      state.self.pipe(Promise.resolve(value * 2), "fetched", "context");
    },
    fetched: (state, result: Piped<string, number>) => {
      state.heard.push(result);
    },
    later: (state, delayMs: number) => {
      state.self.castAfter(delayMs, "set", 99);
    },
  },
  info: (state, message) => {
    state.heard.push(message);
  },
});

async function start(balance = 0) {
  const host = testHost();
  const pid = await host.spawn(account, { balance }, {}, undefined);
  return { host, pid, ref: refOf(host, account, pid) };
}

describe("gen_server", () => {
  it("answers calls in the order they were sent, with inferred types", async () => {
    const { ref } = await start(1);
    const [first, second] = await Promise.all([ref.call.add(2), ref.call.add(3)]);
    const sum: number = first + second;
    expect([first, second, sum]).toEqual([3, 6, 9]);
  });

  it("answers an operating error to its caller and lives on", async () => {
    const { ref } = await start(1);
    await expect(ref.call.add(-5)).rejects.toMatchObject({ code: "conflict" });
    expect(await ref.call.read()).toBe(1);
  });

  it("a crash fails the call in hand, the calls that wait and the deferred ones, each once", async () => {
    const { ref } = await start();
    const deferred = ref.call.next(undefined, { timeoutMs: 60_000 });
    const crashed = ref.call.crash();
    const queued = ref.call.read();
    const results = await Promise.allSettled([deferred, crashed, queued]);
    expect(results.map((result) => result.status === "rejected" && result.reason.code)).toEqual([
      "crashed",
      "crashed",
      "crashed",
    ]);
    await expect(ref.call.read()).rejects.toMatchObject({ code: "noproc" });
  });

  it("a deferred reply reaches its caller from another turn", async () => {
    const { ref } = await start();
    const waiting = ref.call.next();
    await ref.call.add(7);
    expect(await waiting).toBe(7);
  });

  it("a process takes no message while an asynchronous handler is pending", async () => {
    const { ref } = await start(1);
    const slow = ref.call.slow(20);
    ref.cast.set(5);
    expect(await slow).toBe(1);
    expect(await ref.call.read()).toBe(5);
  });

  it("a call that is not answered in time fails with timeout, and its late reply is dropped and counted", async () => {
    const { host, ref } = await start();
    await expect(ref.call.next(undefined, { timeoutMs: 10 })).rejects.toMatchObject({ code: "timeout" });
    await ref.call.add(1);
    expect(host.pending.lateReplies).toBe(1);
    expect(host.pending.size).toBe(0);
  });

  it("a request whose deadline passed in the mailbox never runs", async () => {
    const { ref } = await start(1);
    const slow = ref.call.slow(60);
    await expect(ref.call.add(5, { timeoutMs: 5 })).rejects.toMatchObject({ code: "timeout" });
    await slow;
    expect(await ref.call.read()).toBe(1);
  });

  it("an aborted call is withdrawn from the mailbox before it runs", async () => {
    const { ref } = await start(1);
    const controller = new AbortController();
    const slow = ref.call.slow(20);
    const canceled = ref.call.add(5, { signal: controller.signal });
    controller.abort();
    await expect(canceled).rejects.toMatchObject({ code: "canceled" });
    await slow;
    expect(await ref.call.read()).toBe(1);
  });

  it("an invalid time-out is refused and leaves the server alive (gen_server_SUITE stop3)", async () => {
    const { ref } = await start(1);
    await expect(ref.call.read(undefined, { timeoutMs: -1 })).rejects.toMatchObject({ code: "bad_argument" });
    expect(await ref.call.read()).toBe(1);
  });

  it("a full mailbox refuses the call at once and nothing of it runs", async () => {
    const host = testHost();
    const mailbox = { max: 2, bytesMax: Number.POSITIVE_INFINITY };
    const pid = await host.spawn(account, { balance: 0 }, { mailbox }, undefined);
    const ref = refOf(host, account, pid);
    const results = await Promise.allSettled([ref.call.add(1), ref.call.add(1), ref.call.add(1)]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(await ref.call.read()).toBe(2);
  });

  it("a mailbox bounded by bytes refuses what does not fit", async () => {
    const host = testHost();
    const mailbox = { max: 1_000, bytesMax: 1_000 };
    const pid = await host.spawn(account, { balance: 0 }, { mailbox }, undefined);
    host.cast(pid, "set", 1);
    await expect(host.call(host.client, pid, "add", "x".repeat(2_000))).rejects.toMatchObject({
      code: "overloaded",
    });
  });

  it("a failed init reaches the starter with its code", async () => {
    const host = testHost();
    await expect(host.spawn(account, { balance: -1 }, {}, undefined)).rejects.toMatchObject({
      code: "bad_argument",
    });
  });

  it("a name is held by one process and free after its end", async () => {
    const host = testHost();
    await host.spawn(account, { balance: 1 }, { name: "bank" }, undefined);
    await expect(host.spawn(account, { balance: 2 }, { name: "bank" }, undefined)).rejects.toMatchObject({
      code: "already_started",
    });
    const ref = refOf(host, account, "bank");
    expect(await ref.call.close()).toBe("closed");
    await expect(ref.call.read()).rejects.toMatchObject({ code: "noproc" });
    await host.spawn(account, { balance: 3 }, { name: "bank" }, undefined);
    expect(await ref.call.read()).toBe(3);
  });

  it("a monitor hears the end of its process once, with the reason", async () => {
    const host = testHost();
    const watched = await host.spawn(account, { balance: 0 }, {}, undefined);
    const watcher = await host.spawn(account, { balance: 0 }, {}, undefined);
    const ref = host.links.monitor(watcher, watched);
    refOf(host, account, watched).cast.quit();
    await expect(refOf(host, account, watched).call.read()).rejects.toMatchObject({ code: "noproc" });
    expect(await refOf(host, account, watcher).call.heard()).toEqual([
      { type: "down", ref, pid: watched, reason: { shutdown: "asked" } },
    ]);
  });

  it("a linked process dies with a crash, and a trapping one hears of it", async () => {
    const { host, pid, ref } = await start();
    const linked = await host.spawn(account, { balance: 0 }, {}, undefined);
    host.links.link(linked, pid);
    await expect(ref.call.crash()).rejects.toMatchObject({ code: "crashed" });
    await expect(refOf(host, account, linked).call.read()).rejects.toMatchObject({ code: "noproc" });
  });

  it("a piped promise and a timer come back as turns of their own", async () => {
    const { ref } = await start();
    ref.cast.fetch(21);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await ref.call.heard()).toEqual([{ context: "context", ok: true, value: 42 }]);
    ref.cast.later(5);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await ref.call.read()).toBe(99);
  });
});
