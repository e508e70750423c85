/** Calls that their callers give up, in virtual time; on worker threads: call_threads.test. */

import { describe, expect, it } from "vitest";
import { child, hasCode, NanoError, queue } from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { type PlayerState, player, type Script } from "../fixtures/players.ts";

const forEver = Number.POSITIVE_INFINITY;

/** Players `a` to `c`, each on a thread of its own, or all on the main thread. */
async function play(
  threads: 0 | 3,
  scenario: (node: SimulatedNode, world: World) => Promise<void>,
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n", { threads });
    const names = ["a", "b", "c"];
    await node.system.supervise({
      children: names.map((name, index) =>
        child(name, player, undefined, { name, ...(threads === 0 ? {} : { thread: index + 1 }) }),
      ),
    });
    await scenario(node, world);
  });
}

function state(node: SimulatedNode, name: string): PlayerState {
  return node.stateOf(name) as PlayerState;
}

function codeOf(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => "answered",
    (error: unknown) => (error instanceof NanoError ? error.code : `no NanoError: ${String(error)}`),
  );
}

const untilCanceled: Script = [{ do: "until canceled" }, { do: "note", what: "aborted" }];
const deaf: Script = [{ do: "sleep", ms: 10_000 }];

describe.each([0, 3] as const)("a call that is given up, with %i threads", (threads) => {
  it("fires the signal of the handler that has it in hand, and kills nobody", () =>
    play(threads, async (node, world) => {
      const before = node.system.whereis("a");
      const caller = new AbortController();
      const asked = codeOf(node.system.ref(player, "a").call.play(untilCanceled, { signal: caller.signal }));
      await world.sleep(50);
      expect(state(node, "a").notes).toEqual([]);
      caller.abort();
      expect(await asked).toBe("canceled");
      await world.sleep(50);
      expect(state(node, "a").notes).toEqual([true]);
      expect(node.system.whereis("a")).toEqual(before);
    }));

  it("is told by a signal that is asked for after the caller gave up", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const script: Script = [
        { do: "sleep", ms: 100 },
        { do: "note", what: "aborted" },
      ];
      const asked = codeOf(node.system.ref(player, "a").call.play(script, { signal: caller.signal }));
      await world.sleep(50);
      caller.abort();
      await asked;
      await world.sleep(100);
      expect(state(node, "a").notes).toEqual([true]);
    }));

  it("tells nothing to the next request of the same process", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const ref = node.system.ref(player, "a");
      const asked = codeOf(ref.call.play([{ do: "sleep", ms: 100 }], { signal: caller.signal }));
      const next = ref.call.play([{ do: "note", what: "aborted" }]);
      await world.sleep(50);
      caller.abort();
      await asked;
      await next;
      expect(state(node, "a").notes).toEqual([false]);
    }));

  it("kills the process after the grace, which its supervisor starts again on the same thread", () =>
    play(threads, async (node, world) => {
      const before = node.system.whereis("a");
      const caller = new AbortController();
      const options = { signal: caller.signal, cancelGraceMs: 200 };
      const asked = codeOf(node.system.ref(player, "a").call.play(deaf, options));
      await world.sleep(50);
      caller.abort();
      await asked;
      await world.sleep(190);
      expect(node.system.whereis("a")).toEqual(before);
      await world.sleep(100);
      const after = node.system.whereis("a");
      expect(after).toMatchObject({ thread: before?.thread, incarnation: before?.incarnation });
      expect(after?.id).not.toBe(before?.id);
      expect(await node.system.ref(player, "a").call.play([])).toBe("a");
    }));

  it("kills nobody when the handler ends within the grace", () =>
    play(threads, async (node, world) => {
      const before = node.system.whereis("a");
      const caller = new AbortController();
      const options = { signal: caller.signal, cancelGraceMs: 200 };
      const ref = node.system.ref(player, "a");
      const asked = codeOf(ref.call.play([{ do: "until canceled" }], options));
      await world.sleep(50);
      caller.abort();
      await asked;
      // Another request is in hand when the grace is over.
      const next = ref.call.play([{ do: "sleep", ms: 400 }]);
      await world.sleep(300);
      expect(node.system.whereis("a")).toEqual(before);
      expect(await next).toBe("a");
    }));

  it("gives up the calls that its handler makes with its signal, and those that they make", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const inner: Script = [
        { do: "call", to: "c", script: untilCanceled, signal: true, timeoutMs: forEver },
      ];
      const outer: Script = [{ do: "call", to: "b", script: inner, signal: true, timeoutMs: forEver }];
      const options = { signal: caller.signal, timeoutMs: forEver };
      const asked = codeOf(node.system.ref(player, "a").call.play(outer, options));
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      await world.sleep(50);
      expect(state(node, "c").notes).toEqual([true]);
      for (const name of ["a", "b", "c"]) expect(node.process(name)?.status).toBe("ready");
    }));

  it("tells nothing to the request that is in hand while the one that was deferred is given up", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const ref = node.system.ref(player, "a");
      const deferred = codeOf(ref.call.hold(undefined, { signal: caller.signal, cancelGraceMs: 0 }));
      const inHand = codeOf(
        ref.call.play([
          { do: "sleep", ms: 200 },
          { do: "note", what: "aborted" },
        ]),
      );
      await world.sleep(50);
      caller.abort();
      expect(await deferred).toBe("canceled");
      expect(await inHand).toBe("answered");
      expect(state(node, "a").notes).toEqual([false]);
    }));

  it("is never taken when it still waits", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const ref = node.system.ref(player, "a");
      const first = ref.call.play([{ do: "sleep", ms: 200 }]);
      const asked = codeOf(ref.call.play(untilCanceled, { signal: caller.signal, cancelGraceMs: 0 }));
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      await first;
      await world.sleep(50);
      expect(state(node, "a").taken).toBe(1);
    }));

  it("is heard of by whoever deferred the answer, by `canceled` and by the signal of that turn", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const options = { signal: caller.signal, cancelGraceMs: 30 };
      const before = node.system.whereis("a");
      const asked = codeOf(node.system.ref(player, "a").call.holdSignal(undefined, options));
      await world.sleep(50);
      caller.abort();
      await asked;
      await world.sleep(100);
      expect(state(node, "a").canceled).toEqual([30]);
      expect(state(node, "a").notes).toEqual(["canceled"]);
      expect(node.system.whereis("a")).toEqual(before);
    }));

  it("is heard of by `canceled` even if it was given up before its handler deferred it", () =>
    play(threads, async (node, world) => {
      const caller = new AbortController();
      const asked = codeOf(
        node.system
          .ref(player, "a")
          .call.holdLater({ ms: 100 }, { signal: caller.signal, cancelGraceMs: 300 }),
      );
      await world.sleep(50);
      caller.abort();
      await asked;
      await world.sleep(500);
      expect(state(node, "a").canceled).toEqual([300]);
    }));
});

describe("a handler's signal", () => {
  it("fires when the caller's deadline passes, with `timeout`", () =>
    play(0, async (node, world) => {
      const script: Script = [
        { do: "until canceled" },
        { do: "sleep", ms: 50 },
        { do: "note", what: "reason" },
      ];
      const asked = codeOf(node.system.ref(player, "a").call.play(script, { timeoutMs: 100 }));
      expect(await asked).toBe("timeout");
      await world.sleep(100);
      expect(state(node, "a").notes).toEqual(["timeout"]);
    }));

  it("ends the calls that were made with it by the deadline as that would: with `timeout`, not `canceled`", () =>
    play(3, async (node, world) => {
      const inner: Script = [{ do: "until canceled" }, { do: "note", what: "reason" }];
      const script: Script = [
        { do: "fire", to: "b", script: inner, signal: true, inherit: false, timeoutMs: forEver },
      ];
      const asked = codeOf(
        node.system.ref(player, "a").call.play([...script, { do: "sleep", ms: 300 }], { timeoutMs: 100 }),
      );
      expect(await asked).toBe("timeout");
      await world.sleep(50);
      expect(state(node, "a").notes).toMatchObject([{ code: "timeout", inherited: true }]);
      expect(state(node, "b").notes).toEqual(["timeout"]);
    }));

  it("fires when its process is killed, so that what it asked for is given up", () =>
    play(3, async (node, world) => {
      const script: Script = [
        { do: "call", to: "b", script: untilCanceled, signal: true, timeoutMs: forEver },
      ];
      const asked = codeOf(node.system.ref(player, "a").call.play(script, { timeoutMs: forEver }));
      await world.sleep(50);
      node.kill("a");
      expect(await asked).toBe("crashed");
      await world.sleep(50);
      expect(state(node, "b").notes).toEqual([true]);
    }));

  it("fires no more once the request is answered", () =>
    play(0, async (node, world) => {
      await node.system.ref(player, "a").call.play([{ do: "note", what: "signal" }], { timeoutMs: 100 });
      const [signal] = state(node, "a").notes as [AbortSignal];
      await world.sleep(200);
      node.kill("a");
      expect(signal).toBeInstanceOf(AbortSignal);
      expect(signal.aborted).toBe(false);
    }));
});

describe.each([0, 3] as const)("a job that is given up, with %i threads", (threads) => {
  async function factoryOf({ system }: SimulatedNode, workers: number) {
    const placed = threads === 0 ? {} : { thread: 2 };
    return system.startFactory("players", player, { args: undefined, workers, routing: queue(), ...placed });
  }

  it("is told to its worker while it runs, counted as canceled, and the worker takes the next job", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 1);
      const caller = new AbortController();
      const options = { signal: caller.signal, cancelGraceMs: 1_000 };
      const asked = codeOf(factory.at("k").call.play([{ do: "until canceled" }], options));
      await world.sleep(50);
      const next = factory.at("k").call.play([], { timeoutMs: 500 });
      caller.abort();
      expect(await asked).toBe("canceled");
      expect(await next).toBe("");
      await world.sleep(1_500);
      const counted = { done: 1, crashed: 0, canceled: 1, running: 0, waiting: 0 };
      expect(await factory.statistics()).toMatchObject(counted);
    }));

  it("costs a worker that does not listen its life after the grace, and no other worker", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 2);
      const caller = new AbortController();
      const other = factory.at("other").call.play([{ do: "sleep", ms: 800 }]);
      const options = { signal: caller.signal, cancelGraceMs: 200 };
      const asked = codeOf(factory.at("k").call.play(deaf, options));
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      const next = factory.at("k").call.play([]);
      await world.sleep(150);
      expect(await factory.statistics()).toMatchObject({ running: 2, waiting: 1 });
      await world.sleep(150);
      expect(await next).toBe("");
      expect(await other).toBe("");
      expect(await factory.statistics()).toMatchObject({ done: 2, crashed: 0, canceled: 1 });
    }));

  it("is discarded as canceled if it still waits, and its worker is left alone", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 1);
      const caller = new AbortController();
      const first = factory.at("k").call.play([{ do: "sleep", ms: 300 }]);
      const asked = codeOf(factory.at("k").call.play(deaf, { signal: caller.signal, cancelGraceMs: 0 }));
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      expect(await first).toBe("");
      await world.sleep(50);
      const counted = { done: 1, crashed: 0, canceled: 0, discarded: { canceled: 1 } };
      expect(await factory.statistics()).toMatchObject(counted);
    }));

  it("is taken back from a worker that has not begun it", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 1);
      const worker = await factory.at("k").call.pid();
      await node.system.suspend(worker);
      const caller = new AbortController();
      const asked = codeOf(factory.at("k").call.play(deaf, { signal: caller.signal }));
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      await world.sleep(50);
      expect(await factory.statistics()).toMatchObject({ running: 0, canceled: 1, done: 1 });
      await node.system.resume(worker);
      expect(await factory.at("k").call.play([], { timeoutMs: 500 })).toBe("");
    }));

  it("is not given to another worker when its own dies before it began", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 1);
      const worker = await factory.at("k").call.pid();
      await node.system.suspend(worker);
      const caller = new AbortController();
      const script: Script = [{ do: "fire", to: "c", script: [] }];
      const asked = codeOf(factory.at("k").call.play(script, { signal: caller.signal }));
      await world.sleep(50);
      node.system.exit(worker, "killed");
      caller.abort();
      expect(await asked).toBe("canceled");
      await world.sleep(200);
      expect(await factory.statistics()).toMatchObject({ running: 0, waiting: 0, done: 1 });
      expect(state(node, "c").taken).toBe(0);
    }));

  it("is told to a worker that deferred its answer, whose life ends after the grace if it keeps the job", () =>
    play(threads, async (node, world) => {
      const factory = await factoryOf(node, 1);
      const caller = new AbortController();
      const asked = codeOf(
        factory.at("k").call.hold(undefined, { signal: caller.signal, cancelGraceMs: 100 }),
      );
      await world.sleep(50);
      caller.abort();
      expect(await asked).toBe("canceled");
      expect(await factory.at("k").call.play([], { timeoutMs: 1_000 })).toBe("");
      expect(await factory.statistics()).toMatchObject({ done: 1, crashed: 0, canceled: 1 });
    }));
});

it.each([-1, Number.NaN, 3_600_001, "5"])("cancelGraceMs: %j is refused, naming the field", (cancelGraceMs) =>
  play(0, async ({ system }) => {
    const options = { cancelGraceMs: cancelGraceMs as number, signal: new AbortController().signal };
    const error = await system
      .ref(player, "a")
      .call.play([], options)
      .catch((thrown: unknown) => thrown);
    expect(hasCode(error, "bad_argument") && error.details).toEqual({ field: "cancelGraceMs" });
  }),
);
