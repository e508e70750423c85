/**
 * Circles of calls, in virtual time: what is found, by whom it is heard, and what is no circle. On worker threads:
 * call_threads.test.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { child, NanoError, type System } from "../../src/index.ts";
import {
  type SimulatedNode,
  type SimulatedThread,
  type SimulationOptions,
  simulateSeed,
  type World,
} from "../../src/simulation/index.ts";
import { type PlayerState, player, type Script, type Step } from "../fixtures/players.ts";

const forEver = Number.POSITIVE_INFINITY;
/** A circle is found within this: far less than the time-out of a call. */
const foundMs = 400;

/** `count` players p0, p1, ..., placed on threads in turn. */
async function cast(world: World, count: number, threads: number): Promise<SimulatedNode> {
  const elsewhere = (thread: SimulatedThread) => (ms: number) => thread.sleep(ms);
  const resources = (thread: SimulatedThread) => ({ elsewhere: elsewhere(thread) });
  const node = await world.node("n", { threads, resources });
  await node.system.supervise({
    children: Array.from({ length: count }, (_, index) => {
      const name = `p${index}`;
      return child(name, player, undefined, {
        name,
        ...(threads === 0 ? {} : { thread: 1 + (index % threads) }),
      });
    }),
  });
  return node;
}

interface Cast {
  readonly count?: number;
  readonly threads?: number;
}

async function play(
  { count = 4, threads = 0, ...seeded }: Cast & Partial<SimulationOptions>,
  scenario: (node: SimulatedNode, world: World) => Promise<void>,
): Promise<void> {
  await simulateSeed({ seed: 1, ...seeded }, async (world) =>
    scenario(await cast(world, count, threads), world),
  );
}

type Outcome = { readonly code: string; readonly chain: readonly string[] };

/** How a call ended; `chain`: who waits for whom, the closing one first. */
function outcomeOf(answer: Promise<unknown>): Promise<Outcome> {
  return answer.then(
    () => ({ code: "answered", chain: [] }),
    (error: unknown) => {
      if (!(error instanceof NanoError)) throw error;
      const links = (error.details.chain ?? []) as { readonly name: string }[];
      return { code: error.code, chain: links.map(({ name }) => name) };
    },
  );
}

function send(system: System, to: string, script: Script): Promise<Outcome> {
  return outcomeOf(system.ref(player, to).call.play(script, { timeoutMs: forEver }));
}

/** Nothing here times out. */
function call(to: string, script: Script = [], kind: "call" | "fire" = "call"): Step {
  return { do: kind, to, script, timeoutMs: forEver };
}

function sleep(ms: number): Step {
  return { do: "sleep", ms };
}

/** Nested calls: each in the handler of the one before. */
function nested(names: readonly string[]): Script {
  const [first, ...rest] = names;
  return first === undefined ? [] : [call(first, nested(rest))];
}

describe.each([0, 2, 3])("a circle of calls, with %i threads", (threads) => {
  it.each([
    ["a process that calls itself", ["p0"], ["p0"]],
    ["two that call each other", ["p1", "p0"], ["p1", "p0"]],
    ["three", ["p1", "p2", "p0"], ["p2", "p0", "p1"]],
    ["two of them, behind one that is in none", ["p1", "p2", "p1"], ["p2", "p1"]],
  ])("is reported to the call that closes it, with the whole chain: %s", (_, names, chain) =>
    play({ threads }, async ({ system }, world) => {
      const fromMs = world.nowMs;
      expect(await send(system, "p0", nested(names))).toEqual({ code: "call_cycle", chain });
      expect(world.nowMs - fromMs).toBeLessThan(foundMs);
    }),
  );

  it("that two requests close together is reported to one of them, and the other is answered", () =>
    play({ threads }, async ({ system }, world) => {
      const first = send(system, "p0", [sleep(10), call("p1")]);
      const second = send(system, "p1", [sleep(10), call("p0")]);
      const outcomes = await Promise.all([first, second]);
      expect(outcomes.map(({ code }) => code).sort()).toEqual(["answered", "call_cycle"]);
      expect(world.nowMs).toBeLessThan(1_000);
    }));

  it("is found by several who ask about each other at the same moment", () =>
    play({ threads }, async ({ system }) => {
      const asked = [
        send(system, "p0", [sleep(1), call("p1")]),
        send(system, "p1", [sleep(1), call("p2")]),
        send(system, "p2", [sleep(1), call("p1", [], "fire"), call("p0", [], "fire"), call("p2")]),
      ];
      const codes = (await Promise.all(asked)).map(({ code }) => code);
      expect(codes).toEqual(["answered", "answered", "call_cycle"]);
    }));

  it("is reported to the call that came last, though the others began long before", () =>
    play({ threads }, async ({ system }) => {
      const first = send(system, "p0", [sleep(10), call("p1")]);
      const last = send(system, "p1", [sleep(3_000), call("p0")]);
      expect(await last).toEqual({ code: "call_cycle", chain: ["p1", "p0"] });
      expect((await first).code).toBe("answered");
    }));

  it("lets everybody serve again, and the call that got `call_cycle` was never taken", () =>
    play({ threads }, async (node) => {
      expect((await send(node.system, "p0", nested(["p1", "p0"]))).code).toBe("call_cycle");
      expect((node.stateOf("p0") as PlayerState).taken).toBe(1);
      expect((await send(node.system, "p0", [call("p1")])).code).toBe("answered");
    }));

  it("is found through casts: a handler needs no caller to wait", () =>
    play({ threads }, async (node, world) => {
      node.system.ref(player, "p0").cast.run([sleep(5), call("p1", [call("p0")])]);
      await world.sleep(foundMs);
      expect((node.stateOf("p0") as PlayerState).notes).toMatchObject([{ code: "call_cycle" }]);
    }));

  it("is found where a handler waits for all of its calls, once only one is left", () =>
    play({ threads }, async ({ system }, world) => {
      const fromMs = world.nowMs;
      const asked = send(system, "p0", [{ do: "all", to: { p2: [sleep(1_000)], p1: [call("p0")] } }]);
      expect((await asked).code).toBe("answered");
      expect(world.nowMs - fromMs).toBeGreaterThan(1_000);
      expect(world.nowMs - fromMs).toBeLessThan(1_000 + 2 * foundMs);
    }));

  it("is found where a handler waits for several calls that all come back to it", () =>
    play({ threads }, async (node, world) => {
      const asked = send(node.system, "p0", [
        { do: "all", to: { p1: [call("p0")], p2: [sleep(100), call("p3", [call("p0")])] } },
      ]);
      expect((await asked).code).toBe("answered");
      expect(world.nowMs).toBeLessThan(2_000);
      expect((node.stateOf("p0") as PlayerState).taken).toBe(1);
    }));

  it("is found beside a call that was fired into it", () =>
    play({ threads }, async (node) => {
      const asked = send(node.system, "p0", [call("p0", [], "fire"), call("p1", [call("p0")])]);
      expect(await asked).toEqual({ code: "call_cycle", chain: ["p1", "p0"] });
      // The fired one was only waiting for its turn.
      await send(node.system, "p1", []);
      expect((node.stateOf("p0") as PlayerState).taken).toBe(2);
    }));

  it("is found after a name went to another process", () =>
    play({ threads }, async (node, world) => {
      const before = node.system.whereis("p1");
      node.kill("p1");
      await world.eventually(
        "p1 is back",
        () => (node.system.whereis("p1")?.id ?? before?.id) !== before?.id,
        1_000,
      );
      expect(await send(node.system, "p0", nested(["p1", "p0"]))).toEqual({
        code: "call_cycle",
        chain: ["p1", "p0"],
      });
    }));

  it("is none between a process that died waiting and its successor of the same name", () =>
    play({ threads }, async (node, world) => {
      const dead = send(node.system, "p0", [call("p1", [sleep(300), call("p0")])]);
      await world.sleep(100);
      node.kill("p0");
      expect((await dead).code).toBe("crashed");
      await world.sleep(1_000);
      expect((node.stateOf("p1") as PlayerState).taken).toBe(1);
      // The new p0 took the call of p1.
      expect((node.stateOf("p0") as PlayerState).taken).toBe(1);
    }));
});

/** p1 calls p0 back while p0 is busy, and gets its answer when p0 is done. */
describe.each([0, 2])("no circle, with %i threads", (threads) => {
  const back: Script = [call("p0")];
  it.each<[string, Script]>([
    ["fires its call without awaiting it, and sleeps", [call("p1", back, "fire"), sleep(2_000)]],
    ["fires its call, then awaits another", [call("p1", back, "fire"), call("p2", [sleep(2_000)])]],
    ["awaits any of its call and something else", [{ do: "either", to: "p1", script: back, ms: 2_000 }]],
    ["goes on with the first of several answers", [{ do: "first", to: { p1: back, p2: [sleep(2_000)] } }]],
    [
      "goes on with whatever comes first, the answer or its sleep",
      [{ do: "race", to: "p1", script: back, ms: 2_000 }],
    ],
    ["waits for what is none of the runtime's", [call("p1", back, "fire"), { do: "elsewhere", ms: 2_000 }]],
  ])("is reported for a handler that %s", (_, script) =>
    play({ threads }, async (node, world) => {
      expect((await send(node.system, "p0", script)).code).toBe("answered");
      await world.sleep(100);
      expect((node.stateOf("p0") as PlayerState).taken).toBe(2);
      expect((node.stateOf("p0") as PlayerState).notes).toEqual([]);
    }),
  );

  it("is reported where the answer was deferred: whoever owes it takes calls meanwhile", () =>
    play({ threads }, async ({ system }) => {
      const asked = system.ref(player, "p0").call.playDeferred([call("p1", [sleep(1_000), ...back])]);
      expect((await outcomeOf(asked)).code).toBe("answered");
    }));

  it("is reported where one of several answers comes from a process that has a call open and awaits none", () =>
    play({ threads }, async ({ system }) => {
      const free: Script = [call("p0", [], "fire"), { do: "elsewhere", ms: 2_000 }];
      expect((await send(system, "p0", [{ do: "first", to: { p1: back, p2: free } }])).code).toBe("answered");
    }));

  it("is reported where another process answers for the one that waits", () =>
    play({ threads }, async ({ system }, world) => {
      const first = send(system, "p0", [{ do: "call for", to: "p1", by: "p2", ms: 2_000 }]);
      await world.sleep(50);
      const second = send(system, "p1", back);
      expect((await second).code).toBe("answered");
      expect((await first).code).toBe("answered");
    }));

  it("is reported where the callee is busy with somebody else, or with something slow", () =>
    play({ threads }, async ({ system }, world) => {
      const slow = send(system, "p1", [sleep(1_500)]);
      await world.sleep(10);
      const waiting = ["p0", "p2", "p3"].map((name) => send(system, name, [call("p1", [sleep(200)])]));
      for (const each of [slow, ...waiting]) expect((await each).code).toBe("answered");
    }));

  it("is reported twice in a chain that is only long", () =>
    play({ threads, count: 40 }, async ({ system }) => {
      const names = Array.from({ length: 39 }, (_, index) => `p${index + 1}`);
      const last = [call("p39", [sleep(1_500)])];
      const script = names.slice(0, -1).reduceRight<Script>((inner, name) => [call(name, inner)], last);
      expect((await send(system, "p0", script)).code).toBe("answered");
    }));
});

it("a handler that awaits its fired call later is found to wait from then on", () =>
  play({ threads: 2 }, async ({ system }, world) => {
    const fromMs = world.nowMs;
    const asked = send(system, "p0", [{ do: "await later", to: "p1", script: [call("p0")], ms: 1_000 }]);
    expect((await asked).code).toBe("call_cycle");
    expect(world.nowMs - fromMs).toBeGreaterThan(1_000);
  }));

it("a system whose handlers wait for ever comes to rest", () =>
  play({ threads: 2 }, async ({ system }, world) => {
    system.ref(player, "p0").cast.run([call("p1", [{ do: "until canceled" }])]);
    await world.idle();
    expect(world.nowMs).toBeLessThan(600_000);
  }));

const orders = ["fifo", "random", "pct"] as const;

/** Random graphs: each process gets one request, calls some others one after the other, and may sleep before. */
const plans = fc.array(
  fc.record({
    delayMs: fc.integer({ min: 0, max: 60 }),
    to: fc.array(fc.record({ target: fc.nat(5), fire: fc.boolean() }), { maxLength: 3 }),
  }),
  { minLength: 2, maxLength: 6 },
);

/**
 * The model: calls that nobody gives up; a process takes one request at a time and waits for each awaited call. So a
 * circle that is not reported leaves its requests without an answer, and one that is reported has an awaited call
 * from each to the next.
 */
it.each([0, 2, 3])(
  "with %i threads: in any graph all requests end, and call_cycle is heard exactly where a circle stood",
  async (threads) => {
    await fc.assert(
      fc.asyncProperty(plans, fc.nat(1_000), fc.constantFrom(...orders), async (plan, seed, order) => {
        const count = plan.length;
        await play({ count, threads, seed, order }, async (node, world) => {
          const scripts = plan.map(
            ({ delayMs, to }): Script => [
              sleep(delayMs + 1),
              ...to.map(({ target, fire }) => call(`p${target % count}`, [], fire ? "fire" : "call")),
            ],
          );
          const asked = scripts.map((script, index) => send(node.system, `p${index}`, script));
          const outcomes = await Promise.all(asked);
          for (const { code, chain } of outcomes) {
            if (code === "answered") continue;
            expect(code).toBe("call_cycle");
            // Each really awaits a call to the next.
            for (const [place, name] of chain.entries()) {
              const next = chain[(place + 1) % chain.length];
              const own = plan[Number(name.slice(1))];
              expect(own?.to.some(({ target, fire }) => !fire && `p${target % count}` === next)).toBe(true);
            }
          }
          const awaits = plan.map(({ to }) =>
            to.filter(({ fire }) => !fire).map(({ target }) => target % count),
          );
          if (!hasCircle(awaits)) expect(outcomes.every(({ code }) => code === "answered")).toBe(true);
          if (awaits.some((each, index) => each.includes(index)))
            expect(outcomes.some(({ code }) => code === "call_cycle")).toBe(true);
          expect(world.nowMs).toBeLessThan(5_000);
          // Those who fired and did not wait lost nothing.
          for (let index = 0; index < count; index++)
            expect((node.stateOf(`p${index}`) as PlayerState).notes).toEqual([]);
        });
      }),
      { numRuns: 300 },
    );
  },
);

it.each([0, 3])(
  "with %i threads: all requests end although a process is killed at any moment",
  async (threads) => {
    const moment = fc.record({ victim: fc.nat(5), atMs: fc.integer({ min: 1, max: 250 }) });
    await fc.assert(
      fc.asyncProperty(plans, fc.nat(1_000), moment, async (plan, seed, { victim, atMs }) => {
        const count = plan.length;
        await play({ count, threads, seed }, async (node, world) => {
          const scripts = plan.map(
            ({ delayMs, to }): Script => [
              sleep(delayMs + 1),
              ...to.map(({ target }) => call(`p${target % count}`)),
            ],
          );
          const asked = scripts.map((script, index) => send(node.system, `p${index}`, script));
          await world.sleep(atMs);
          node.kill(`p${victim % count}`);
          const codes = (await Promise.all(asked)).map(({ code }) => code);
          for (const code of codes) expect(["answered", "call_cycle", "crashed", "noproc"]).toContain(code);
          expect(world.nowMs).toBeLessThan(5_000);
        });
      }),
      { numRuns: 100 },
    );
  },
);

function hasCircle(next: readonly (readonly number[])[]): boolean {
  const reaches = (from: number, goal: number, seen: Set<number>): boolean =>
    (next[from] ?? []).some((to) => to === goal || (!seen.has(to) && reaches(to, goal, seen.add(to))));
  return next.some((_, index) => reaches(index, index, new Set()));
}
