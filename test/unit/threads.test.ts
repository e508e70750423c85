/** Worker threads and the mesh between them: src/platform/threads.ts. These tests start real threads. */

import { afterEach, describe, expect, test } from "vitest";
import type { ErrorData } from "../../src/base/errors.ts";
import { startThreads, type Threads, type ThreadsOptions } from "../../src/platform/threads.ts";
import { MeshClient } from "../fixtures/mesh_host.ts";

const module = new URL("../fixtures/mesh_host.js", import.meta.url).href;
const entry = { module, export: "start" };

let threads: Threads | undefined;

afterEach(async () => {
  const report = await threads?.stop();
  threads = undefined;
  expect(report?.stuck ?? []).toStrictEqual([]);
});

async function startMesh(options: Partial<ThreadsOptions> = {}): Promise<MeshClient> {
  threads = startThreads({ count: 2, entry, ...options });
  const mesh = new MeshClient(threads.transport);
  await threads.ready;
  return mesh;
}

describe("a mesh of threads", () => {
  test("gives every thread what it is told about itself, and a way to all others", async () => {
    const trail = new SharedArrayBuffer(8);
    const mesh = await startMesh({
      count: 3,
      setup: { module, export: "setup", teardown: "teardown", options: { trail } },
    });
    for (const thread of [1, 2, 3]) {
      const life = { thread, incarnation: 1 };
      const peers = [0, 1, 2, 3].filter((other) => other !== thread);
      const who = await mesh.call(thread, "who");
      expect(who).toMatchObject({ ...life, resources: { life } });
      expect(
        (who as { peers: { thread: number }[] }).peers.map((peer) => peer.thread).toSorted((a, b) => a - b),
      ).toStrictEqual(peers);
      for (const other of [1, 2, 3].filter((other) => other !== thread)) {
        expect(await mesh.call(thread, "ask", { thread: other, message: "hello" })).toBe("hello");
      }
    }
    expect([...new Int32Array(trail)]).toStrictEqual([3, 0]);
    await threads?.stop();
    expect([...new Int32Array(trail)]).toStrictEqual([3, 3]);
    expect(mesh.transport.post(1, {} as never)).toBe(false);
  });

  test("keeps the order of 100,000 messages for each pair of threads, and loses none", async () => {
    const mesh = await startMesh();
    const count = 100_000;
    const flooded = mesh.call(1, "flood", { thread: 2, count });
    for (let number = 0; number < count; number++) {
      if (mesh.transport.pressure(1) >= 1) await mesh.call(1, "echo");
      expect(mesh.cast(1, "record", number)).toBe(true);
    }
    await flooded;
    for (const [thread, sender] of [
      [1, 0],
      [2, 1],
    ] as const) {
      // The flood may still be on its way: asked along the same way, the answer comes after it.
      if (sender === 1) await mesh.call(1, "ask", { thread: 2, message: 0 });
      const received = (await mesh.call(thread, "received")) as number[];
      expect(received).toHaveLength(count);
      expect(received.every((number, index) => number === index)).toBe(true);
    }
  });

  test("lets two threads that flood each other through full rings go on, and loses nothing", async () => {
    const mesh = await startMesh({ channelLimits: { ringBytes: 4_096, queueMessagesMax: 2_000 } });
    const floods = await Promise.all([
      mesh.call(1, "floodFor", { thread: 2, ms: 1_000 }),
      mesh.call(2, "floodFor", { thread: 1, ms: 1_000 }),
    ]);
    const [byFirst, bySecond] = floods as { sent: number; pressureMax: number }[];
    // Asked along the same ways, the answers come after all that was sent.
    await mesh.call(1, "ask", { thread: 2, message: 0 });
    await mesh.call(2, "ask", { thread: 1, message: 0 });
    expect(await mesh.call(1, "tallied")).toStrictEqual({ tallied: bySecond?.sent, outOfOrder: 0 });
    expect(await mesh.call(2, "tallied")).toStrictEqual({ tallied: byFirst?.sent, outOfOrder: 0 });
    for (const flood of [byFirst, bySecond]) {
      expect(flood?.sent).toBeGreaterThan(2_000);
      expect(flood?.pressureMax).toBeGreaterThanOrEqual(1);
    }
  });

  test("carries messages far over the window, and bytes that nobody else holds", async () => {
    const mesh = await startMesh({ channelLimits: { ringBytes: 4_096, windowBytes: 1_000 } });
    const picture = new Uint8Array(3_000_000).map((_, index) => index);
    const answers = await Promise.all([
      mesh.call(1, "echo", { picture }),
      mesh.call(1, "echo", "small"),
      mesh.call(1, "echo", { picture }),
      ...Array.from({ length: 2_000 }, (_, index) => mesh.call(1, "echo", index)),
    ]);
    const [first, small, second] = answers as [{ picture: Uint8Array }, string, { picture: Uint8Array }];
    expect(small).toBe("small");
    expect(Buffer.compare(first.picture, picture)).toBe(0);
    expect(Buffer.compare(second.picture, picture)).toBe(0);
    first.picture.fill(0);
    expect(second.picture[1]).toBe(1);
    expect(picture[1]).toBe(1);
    expect(first.picture.buffer.byteLength).toBe(picture.length);
    expect(answers.slice(3)).toStrictEqual(Array.from({ length: 2_000 }, (_, index) => index));
  });

  test("does not hold back a large message for ever behind a small one", async () => {
    const mesh = await startMesh({ channelLimits: { windowBytes: 10_000 } });
    mesh.cast(1, "record", "small");
    await new Promise((resolve) => setImmediate(resolve));
    mesh.cast(1, "record", new Uint8Array(9_990));
    expect(await mesh.call(1, "count")).toBe(2);
  });

  test("tells how far a busy thread is behind, refuses at the bound, and recovers", async () => {
    const mesh = await startMesh({
      channelLimits: { batchMessagesMax: 10, ringBytes: 4_096, queueMessagesMax: 100, pressureMax: 2 },
    });
    await mesh.call(1, "echo");
    expect(mesh.transport.pressure(1)).toBeLessThan(0.2);
    const blocked = mesh.call(1, "block", 300);
    let accepted = 0;
    while (mesh.cast(1, "record", accepted)) accepted++;
    // The call that blocks is one of the 200. Before it blocks the thread may take one batch more, at any moment: while
    // the way is filled, or after it.
    expect([199, 209]).toContain(accepted);
    expect([1.9, 2]).toContain(mesh.transport.pressure(1));
    await blocked;
    while (mesh.transport.pressure(1) > 1) await new Promise((resolve) => setImmediate(resolve));
    expect(await mesh.call(1, "count")).toBe(accepted);
  });

  test("drops a message that can't be packed, alone, and tells its sender", async () => {
    const mesh = await startMesh();
    const refused: unknown[] = [];
    mesh.transport.onUnsendable((thread, { message }, error) => refused.push([thread, message, error]));
    const symbol = Symbol("unsendable");
    mesh.cast(1, "record", 1);
    mesh.cast(1, "record", symbol);
    mesh.cast(1, "record", 2);
    expect(await mesh.call(1, "received")).toStrictEqual([1, 2]);
    expect(refused).toStrictEqual([[1, symbol, expect.objectContaining({ code: "bad_argument" })]]);
  });

  test("gives repeatable chance to each thread and life when it has a seed", async () => {
    const draws: unknown[] = [];
    for (let run = 0; run < 2; run++) {
      const mesh = await startMesh({ seed: 42 });
      draws.push([await mesh.call(1, "random"), await mesh.call(2, "random")]);
      await threads?.stop();
    }
    expect(draws[0]).toStrictEqual(draws[1]);
    expect(new Set(draws[0] as number[]).size).toBe(2);
  });

  test("brings the threads' log lines to the main thread if asked to", async () => {
    const lines: string[] = [];
    const mesh = await startMesh({ logLevel: "info", onLog: (line) => lines.push(line) });
    await mesh.call(2, "log", "to be read");
    await mesh.call(2, "echo");
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records).toContainEqual(
      expect.objectContaining({ thread: 2, incarnation: 1, message: "to be read", msg: "a line" }),
    );
  });
});

describe("a thread that dies", () => {
  test.each<[string, string, unknown, RegExp]>([
    ["by process.exit", "exit", 7, /code: 7/],
    ["of an uncaught error", "throws", undefined, /thrown in a timer/],
    ["of a rejection that nobody handles", "rejects", undefined, /nobody handles this/],
    ["of a full heap", "heap", undefined, /memory limit/],
  ])("%s is reported to all others, and replaced", async (_, method, argument, reason) => {
    const died: [number, number, ErrorData][] = [];
    const mesh = await startMesh({
      count: 3,
      resourceLimits: { maxOldGenerationSizeMb: 64 },
      onDied: ({ thread, incarnation }, error) => died.push([thread, incarnation, error]),
    });
    const heardBefore = mesh.heard.length;
    const started = performance.now();
    mesh.cast(2, method, argument);
    await mesh.whenHeard(2, 1, false);
    await mesh.whenHeard(2, 2, true);
    // A message is accepted from the `up` on, and waits for the new life.
    expect(await mesh.call(2, "who")).toMatchObject({ thread: 2, incarnation: 2 });
    expect(performance.now() - started).toBeLessThan(15_000);
    expect(mesh.heard.slice(heardBefore)).toStrictEqual([
      [2, 1, false],
      [2, 2, true],
    ]);
    expect(died).toStrictEqual([[2, 1, expect.objectContaining({ message: expect.stringMatching(reason) })]]);
    for (const witness of [1, 3]) {
      expect(await mesh.call(witness, "ask", { thread: 2, message: "again" })).toBe("again");
      const news = ((await mesh.call(witness, "heard")) as [number, number, boolean][]).filter(
        ([thread]) => thread === 2,
      );
      expect(news.slice(-2)).toStrictEqual([
        [2, 1, false],
        [2, 2, true],
      ]);
      expect(await mesh.call(2, "ask", { thread: witness, message: "back" })).toBe("back");
    }
  });

  test("is told as down after all that it had sent, and its open calls fail", async () => {
    const mesh = await startMesh();
    let received = 0;
    mesh.handlers.record = (number) => {
      expect(number).toBe(received++);
    };
    mesh.cast(1, "lastWords", 3_000);
    await mesh.whenHeard(1, 1, false);
    expect(received).toBe(3_000);
    await mesh.whenHeard(1, 2, true);
    const last = mesh.call(1, "exit", 1);
    const after = mesh.call(1, "echo", "never");
    for (const call of [last, after]) {
      await expect(call).rejects.toThrow(expect.objectContaining({ code: "crashed" }));
    }
    expect(mesh.transport.post(1, {} as never)).toBe(false);
    expect(mesh.transport.pressure(1)).toBe(0);
  });

  test("while others write to it as fast as they can is told to them, and they go on", async () => {
    const mesh = await startMesh({ channelLimits: { ringBytes: 4_096, queueMessagesMax: 2_000 } });
    const flood = mesh.call(1, "floodFor", { thread: 2, ms: 500 });
    mesh.cast(2, "exit", 1);
    await mesh.whenHeard(2, 2, true);
    await flood;
    const news = (await mesh.call(1, "heard")) as [number, number, boolean][];
    expect(news.filter(([thread]) => thread === 2).slice(-2)).toStrictEqual([
      [2, 1, false],
      [2, 2, true],
    ]);
    expect(await mesh.call(1, "ask", { thread: 2, message: "again" })).toBe("again");
  });

  test("again and again is replaced after growing delays, then given up", async () => {
    const givenUp: [number, ErrorData][] = [];
    let onGivenUp = (): void => undefined;
    const gone = new Promise<void>((resolve) => {
      onGivenUp = resolve;
    });
    const between: unknown[] = [];
    const mesh = await startMesh({
      entryOptions: { failAt: [2, 3, 4] },
      limits: { replacementsMax: 3, replaceDelayMs: 10 },
      onDied: () => setImmediate(() => between.push(threads?.status()[1])),
      onGivenUp: (thread, reason) => {
        givenUp.push([thread, reason]);
        onGivenUp();
      },
    });
    mesh.cast(1, "exit", 1);
    await gone;
    expect(givenUp).toStrictEqual([
      [1, { code: "config", message: expect.stringMatching(/given up.*told to fail/), details: {} }],
    ]);
    expect(mesh.heard.filter(([thread]) => thread === 1).at(-1)).toStrictEqual([1, 4, false]);
    expect(mesh.transport.post(1, {} as never)).toBe(false);
    expect(between[0]).toMatchObject({ thread: 1, state: "restarting", lastEnd: "exit code 1" });
    expect(between[1]).toMatchObject({ state: "restarting", lastEnd: "uncaught: told to fail" });
    expect(threads?.status()[1]).toMatchObject({ incarnation: 4, state: "given_up" });
    expect(threads?.status()[1]?.words).toBe(
      "thread 1 is given up; its last life ended: uncaught: told to fail",
    );
    expect(await mesh.call(2, "echo", "still here")).toBe("still here");
  });

  test("together with all others is replaced together with them", async () => {
    const mesh = await startMesh({ count: 3 });
    for (const thread of [1, 2, 3]) mesh.cast(thread, "exit", 1);
    await Promise.all([1, 2, 3].map((thread) => mesh.whenHeard(thread, 2, true)));
    for (const thread of [1, 2, 3]) {
      for (const other of [1, 2, 3].filter((other) => other !== thread)) {
        expect(await mesh.call(thread, "ask", { thread: other, message: thread })).toBe(thread);
      }
    }
  });
});

describe("threads that can't start", () => {
  test.each<[string, Partial<ThreadsOptions>, string, RegExp]>([
    ["the entry throws", { entryOptions: { failAt: [1] } }, "config", /thread 1 is given up: told to fail/],
    [
      "the entry is not there",
      { entry: { module, export: "nothing" } },
      "bad_argument",
      /no function nothing/,
    ],
    [
      "the set-up is not there",
      { setup: { module, export: "nothing" } },
      "bad_argument",
      /no function nothing/,
    ],
    [
      "the module is not there",
      { entry: { module: `${module}x`, export: "start" } },
      "crashed",
      /find module/,
    ],
  ])("say why: %s", async (_, options, code, message) => {
    await expect(startMesh(options)).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  test("in time are reported, are not terminated, and leave by themselves when they can", async () => {
    const gate = new SharedArrayBuffer(4);
    const late = startThreads({
      count: 1,
      entry,
      setup: { module, export: "waitingSetup", options: { gate } },
      limits: { startTimeoutMs: 50, stopTimeoutMs: 100 },
    });
    await expect(late.ready).rejects.toThrow(expect.objectContaining({ code: "timeout" }));
    expect(await late.stop()).toStrictEqual({ stuck: [1] });
    const ports = (): number => process.getActiveResourcesInfo().filter((name) => name === "Worker").length;
    Atomics.store(new Int32Array(gate), 0, 1);
    while (ports() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
