/** Deadlines, cancellation and circles of calls on real worker threads; the cases are in virtual time beside this. */

import { afterEach, describe, expect, it } from "vitest";
import { child, NanoError, queue, type System, startSystem } from "../../src/index.ts";
import { type Failure, player, type Script } from "../fixtures/players.ts";

const forEver = Number.POSITIVE_INFINITY;

let system: System | undefined;

afterEach(async () => {
  await system?.stop();
  system = undefined;
});

/** Players p0 to p2, each on a worker thread of its own. */
async function start(): Promise<System> {
  system = await startSystem({ threads: 3 });
  const names = ["p0", "p1", "p2"];
  await system.supervise({
    children: names.map((name, index) => child(name, player, undefined, { name, thread: index + 1 })),
  });
  return system;
}

async function failed(answer: Promise<unknown>): Promise<NanoError> {
  return answer.then(
    (value) => expect.fail(`answered ${String(value)}`),
    (error: unknown) => (error instanceof NanoError ? error : expect.fail(String(error))),
  );
}

describe("on worker threads", () => {
  it.each([
    ["two threads", ["p1", "p0"]],
    ["three threads", ["p1", "p2", "p0"]],
  ])("a circle of calls over %s is reported to the call that closes it", async (_, names) => {
    const { ref } = await start().then((started) => ({ ref: started.ref(player, "p0") }));
    const script = names.reduceRight<Script>(
      (inner, to) => [{ do: "call", to, script: inner, timeoutMs: forEver }],
      [],
    );
    const error = await failed(ref.call.play(script, { timeoutMs: forEver }));
    const chain = error.details.chain as { readonly name: string }[];
    expect([error.code, ...chain.map(({ name }) => name)]).toEqual([
      "call_cycle",
      names.at(-2),
      "p0",
      ...names.slice(0, -2),
    ]);
  });

  it("a handler inherits its caller's deadline from another thread", async () => {
    const started = await start();
    const ref = started.ref(player, "p0");
    const script: Script = [
      { do: "fire", to: "p1", timeoutMs: forEver, script: [{ do: "sleep", ms: 60_000 }] },
    ];
    await ref.call.play([...script, { do: "sleep", ms: 1 }], { timeoutMs: 300 });
    let notes: Failure[] = [];
    while (notes.length === 0) notes = (await ref.call.notes()) as Failure[];
    expect(notes).toMatchObject([{ code: "timeout", inherited: true }]);
  });

  it("a canceled handler hears of it on its own thread, and so does whoever it called with its signal", async () => {
    const started = await start();
    const until: Script = [{ do: "until canceled" }, { do: "note", what: "reason" }];
    const caller = new AbortController();
    const asked = failed(
      started
        .ref(player, "p0")
        .call.play([{ do: "call", to: "p1", script: until, signal: true }], { signal: caller.signal }),
    );
    const p1 = started.whereis("p1");
    while ((await started.statistics(p1 ?? expect.fail())).handled === 0);
    caller.abort();
    expect((await asked).code).toBe("canceled");
    expect(await started.ref(player, "p1").call.notes()).toEqual(["canceled"]);
  });

  it("a process that does not listen is killed after the grace, and its thread lives on", async () => {
    const started = await start();
    const factory = await started.startFactory("workers", player, {
      args: undefined,
      workers: 1,
      routing: queue(),
      thread: 2,
    });
    const before = started.whereis("p1");
    const caller = new AbortController();
    const asked = failed(
      factory.at("k").call.play([{ do: "sleep", ms: 60_000 }], { signal: caller.signal, cancelGraceMs: 10 }),
    );
    while ((await factory.statistics()).running === 0);
    caller.abort();
    expect((await asked).code).toBe("canceled");
    expect(await factory.at("k").call.play([])).toBe("");
    expect(await factory.statistics()).toMatchObject({ canceled: 1, crashed: 0 });
    expect(started.whereis("p1")).toEqual(before);
  });
});
