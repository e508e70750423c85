/** Deadlines that travel with what a handler asks of others, in virtual time; on worker threads: call_threads.test. */

import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { child, type Definition, queue, type System } from "../../src/index.ts";
import { type SimulatedNode, simulateSeed, type World } from "../../src/simulation/index.ts";
import { type Failure, failure, loner, type PlayerState, player, type Script } from "../fixtures/players.ts";

/** Players `a` to `d`, each on a thread of its own, and `loner`; all on the main thread with `threads: 0`. */
async function cast(world: World, threads: 0 | 4): Promise<SimulatedNode> {
  const node = await world.node("n", { threads });
  const names = ["a", "b", "c", "d"];
  await node.system.supervise({
    children: [
      ...names.map((name, index) =>
        child(name, player, undefined, { name, ...(threads === 0 ? {} : { thread: index + 1 }) }),
      ),
      child("loner", loner, undefined, { name: "loner" }),
    ],
  });
  return node;
}

function play(
  script: (node: SimulatedNode, world: World) => Promise<void>,
  threads: 0 | 4 = 0,
): Promise<void> {
  return simulateSeed({ seed: 1 }, async (world) => script(await cast(world, threads), world)).then(
    () => undefined,
  );
}

function state(node: SimulatedNode, name: string): PlayerState {
  return node.stateOf(name) as PlayerState;
}

async function failed(answer: Promise<unknown>): Promise<Failure> {
  return answer.then(
    (value) => expect.fail(`answered ${String(value)}`),
    (error: unknown) => failure(error),
  );
}

function send(system: System, to: string, script: Script, timeoutMs: number): Promise<unknown> {
  return system.ref(player, to).call.play(script, { timeoutMs });
}

const forEver = Number.POSITIVE_INFINITY;
/** How long anything takes at most in these plays beside what it waits for: links and buckets of deadlines. */
const slackMs = 40;

describe.each([0, 4] as const)("a call that a handler makes, with %i threads", (threads) => {
  it("fails at the deadline of the request in hand if its own is later, and says so", () =>
    play(async ({ system }, world) => {
      const asked = send(
        system,
        "a",
        [
          { do: "fire", to: "b", timeoutMs: 10_000, script: [{ do: "sleep", ms: 5_000 }] },
          { do: "sleep", ms: 500 },
        ],
        300,
      );
      expect((await failed(asked)).code).toBe("timeout");
      await world.sleep(300);
      const notes = (await system.ref(player, "a").call.notes()) as Failure[];
      expect(notes).toMatchObject([{ code: "timeout", inherited: true, details: { inherited: true } }]);
    }, threads));

  it("fails at its own deadline if that is earlier, and says nothing of another", () =>
    play(async (node, world) => {
      const step = { do: "fire", to: "b", timeoutMs: 100, script: [{ do: "sleep", ms: 5_000 }] } as const;
      const asked = failed(send(node.system, "a", [step, { do: "sleep", ms: 800 }], 500));
      await world.sleep(100 + slackMs);
      expect(state(node, "a").notes).toMatchObject([{ code: "timeout", inherited: false }]);
      await asked;
    }, threads));

  it("inherits nothing at its process's end: what is put in order then is not the caller's", () =>
    play(async (node, world) => {
      const note: Script = [{ do: "note", what: "remainingMs" }];
      const script: Script = [{ do: "call", to: "b", timeoutMs: forEver, script: note }];
      const asked = node.system.ref(player, "a").call.leave(script, { timeoutMs: 1_000 });
      expect((await failed(asked)).code).toBe("crashed");
      await world.sleep(slackMs);
      expect(state(node, "b").notes).toEqual([forEver]);
    }, threads));

  it("inherits after an await, and through every process on the way", () =>
    play(async (node, world) => {
      const last: Script = [{ do: "note", what: "deadlineMs" }];
      const third: Script = [
        { do: "sleep", ms: 20 },
        { do: "call", to: "d", timeoutMs: forEver, script: last },
      ];
      const second: Script = [
        { do: "sleep", ms: 20 },
        { do: "call", to: "c", timeoutMs: forEver, script: third },
      ];
      const first: Script = [
        { do: "sleep", ms: 20 },
        { do: "call", to: "b", timeoutMs: 60_000, script: second },
      ];
      const deadlineMs = Math.floor(world.wallMs) + 1_000;
      await send(node.system, "a", first, 1_000);
      expect(state(node, "d").notes).toEqual([deadlineMs]);
    }, threads));

  it("is not taken by its callee once the deadline has passed", () =>
    play(async (node, world) => {
      const busy = send(node.system, "b", [{ do: "sleep", ms: 500 }], 5_000);
      await world.sleep(10);
      const asked = send(node.system, "a", [{ do: "call", to: "b", timeoutMs: 10_000, script: [] }], 200);
      expect((await failed(asked)).code).toBe("timeout");
      await busy;
      await world.sleep(slackMs);
      expect(state(node, "b").taken).toBe(1);
      expect(node.process("b")?.statistics().expired).toBe(1);
    }, threads));

  it("says that its deadline was inherited, whether caller or callee notices it first", () =>
    play(async (node, world) => {
      for (let busyMs = 190; busyMs < 230; busyMs += 2) {
        const busy = send(node.system, "b", [{ do: "sleep", ms: busyMs }], 5_000);
        const step = { do: "fire", to: "b", timeoutMs: forEver, script: [] } as const;
        await failed(send(node.system, "a", [step, { do: "sleep", ms: 300 }], 200));
        await busy;
        await world.sleep(200);
      }
      const { notes } = state(node, "a");
      expect(notes.length).toBeGreaterThan(5);
      for (const note of notes) expect(note).toMatchObject({ code: "timeout", inherited: true });
    }, threads));

  it("is not sent any more when the deadline has passed before it", () =>
    play(async (node, world) => {
      const late: Script = [
        { do: "sleep", ms: 300 },
        { do: "fire", to: "b", script: [] },
      ];
      expect((await failed(send(node.system, "a", late, 100))).code).toBe("timeout");
      await world.sleep(300);
      const expected = { code: "timeout", details: { inherited: true, sent: false } };
      expect(state(node, "a").notes).toMatchObject([expected]);
      expect(state(node, "b").taken).toBe(0);
    }, threads));

  it.each([
    ["with inherit: false", "a", false],
    ["by a process whose deadlines are its own", "loner", undefined],
  ] as const)("keeps its own time-out %s", (_, name, inherit) =>
    play(async (node, world) => {
      const asks = { do: "call", to: "b", script: [{ do: "sleep", ms: 500 }] } as const;
      const script: Script = [{ ...asks, timeoutMs: forEver, ...(inherit === undefined ? {} : { inherit }) }];
      expect(
        (
          await failed(
            send(node.system, name, [...script, { do: "fire", to: "c", script: [], inherit: false }], 100),
          )
        ).code,
      ).toBe("timeout");
      await world.sleep(600);
      // It has got its answer and gone on.
      expect(state(node, "c").taken).toBe(1);
    }, threads),
  );

  it("inherits with inherit: true although its process's deadlines are its own", () =>
    play(async (node) => {
      const step = {
        do: "fire",
        to: "b",
        inherit: true,
        script: [{ do: "note", what: "remainingMs" }],
      } as const;
      await send(node.system, "loner", [step, { do: "sleep", ms: 50 }], 1_000);
      const [left] = state(node, "b").notes as [number];
      expect(left).toBeGreaterThan(1_000 - slackMs);
      expect(left).toBeLessThanOrEqual(1_000);
    }, threads));

  it("inherits from a request that was deferred when it names it, and else from none", () =>
    play(async (node) => {
      const note: Script = [{ do: "note", what: "remainingMs" }];
      const script: Script = [
        { do: "sleep", ms: 20 },
        { do: "call", to: "b", timeoutMs: forEver, inherit: "from", script: note },
        { do: "call", to: "c", timeoutMs: forEver, script: note },
        { do: "note", what: "remainingMs" },
      ];
      await node.system.ref(player, "a").call.playDeferred(script, { timeoutMs: 1_000 });
      const [inB] = state(node, "b").notes as [number];
      expect(inB).toBeGreaterThan(980 - slackMs);
      expect(inB).toBeLessThanOrEqual(980);
      expect(state(node, "c").notes).toEqual([forEver]);
      expect(state(node, "a").notes).toEqual([forEver]);
    }, threads));

  it("has no deadline to inherit in the turn of a cast", () =>
    play(async (node, world) => {
      node.system.ref(player, "a").cast.run([
        { do: "note", what: "deadlineMs" },
        { do: "call", to: "b", timeoutMs: forEver, script: [{ do: "note", what: "remainingMs" }] },
      ]);
      await world.sleep(50);
      expect([...state(node, "a").notes, ...state(node, "b").notes]).toEqual([0, forEver]);
    }, threads));

  it("inherits the deadline of its factory's job", () =>
    play(async (node) => {
      const placed = threads === 0 ? {} : { thread: 2 };
      const options = { args: undefined, workers: 1, routing: queue(), ...placed };
      const factory = await node.system.startFactory("players", player, options);
      const step = {
        do: "call",
        to: "b",
        timeoutMs: forEver,
        script: [{ do: "note", what: "remainingMs" }],
      } as const;
      await factory.at("k").call.play([{ do: "sleep", ms: 100 }, step], { timeoutMs: 1_000 });
      const [left] = state(node, "b").notes as [number];
      expect(left).toBeGreaterThan(900 - slackMs);
      expect(left).toBeLessThanOrEqual(900);
    }, threads));
});

it("a deadline that a clock set ahead makes past refuses what would inherit it, and nothing else", () =>
  play(async (node, world) => {
    const asked = send(
      node.system,
      "a",
      [
        { do: "sleep", ms: 50 },
        { do: "fire", to: "b", script: [] },
      ],
      1_000,
    );
    await world.sleep(10);
    node.wallClock.skewMs += 60_000;
    await asked;
    expect(state(node, "a").notes).toMatchObject([{ code: "timeout", inherited: true }]);
    expect(await send(node.system, "b", [], 1_000)).toBe("b");
  }));

it.each([null, 5, "true", {}])("inherit: %j is refused, naming the field", (inherit) =>
  play(async ({ system }) => {
    const refused = system.ref(player, "a").call.play([], { inherit: inherit as unknown as boolean });
    await expect(refused).rejects.toMatchObject({ code: "bad_argument", details: { field: "inherit" } });
  }),
);

it("no actor of the data layer lets a client's deadline cut what it does for many", async () => {
  const files = readdirSync(new URL("../../actors/", import.meta.url)).filter((file) =>
    /^db_\w+\.js$/.test(file),
  );
  const definitions = await Promise.all(
    files.map(async (file) => {
      const found = (await import(`../../actors/${file}`)) as Record<string, Definition>;
      return found[file.replace(".js", "")];
    }),
  );
  expect(definitions.length).toBeGreaterThan(14);
  const inheriting = definitions.filter((each) => each !== undefined && each.callbacks.deadlines !== "own");
  expect(inheriting.map((each) => each?.name)).toEqual([]);
});
