import { expect, it } from "vitest";
import { child } from "../../src/index.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { counter } from "../sim/echo.ts";

it("what is placed on any worker waits for one instead of taking the main thread", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n", { threads: 1 });
    const spec = child("counter", counter, { from: 0 }, { name: "counter", thread: "any" });
    await node.system.supervise({ children: [spec], intensity: 1 });
    const threads = (): number | undefined => node.system.whereis("counter")?.thread;
    expect(threads()).toBe(1);
    node.crashThread(1);
    await world.eventually("the news of its death is heard", () => threads() === undefined, 1_000);
    const spawned = node.system.spawn(counter, { from: 0 }, { thread: "any" });
    await expect(spawned).rejects.toMatchObject({ code: "noproc", message: "no worker thread is up" });
    await world.eventually("it is started again", () => threads() !== undefined, 10_000);
    expect(threads()).toBe(1);
  });
});

it("in a system without worker threads, any thread is the main one", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n");
    const pid = await node.system.spawn(counter, { from: 0 }, { thread: "any" });
    expect(pid.thread).toBe(0);
  });
});
