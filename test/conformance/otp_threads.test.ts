/** A supervision tree on real worker threads, one of which dies. */

import { expect, it } from "vitest";
import { child, type ExitReason, startSystem } from "../../src/index.ts";
import { watcher } from "./otp_children.ts";
import { thread_worker } from "./thread_worker.ts";

it("a thread's death fails its callers, is heard once by each monitor, and its children come back", async () => {
  const system = await startSystem({ threads: 2 });
  const names = ["first", "second", "third"];
  const children = names.map((name, i) =>
    child(name, thread_worker, undefined, { name, thread: i === 2 ? 2 : 1 }),
  );
  await system.supervise({ strategy: "one_for_one", intensity: 1, children });
  const watching = system.ref(watcher, await system.spawn(watcher, { traps: false }, { thread: 2 }));
  const before = names.map((name) => system.whereis(name));
  for (const pid of before) if (pid !== undefined) await watching.call.monitor(pid);

  const patience = { timeoutMs: 60_000 };
  const first = system.ref(thread_worker, "first");
  const second = system.ref(thread_worker, "second");
  const died = first.call.dieWithThread(0, patience);
  const behind = first.call.work(1, patience);
  await expect(died).rejects.toMatchObject({ code: "crashed" });
  await expect(behind).rejects.toMatchObject({ code: "crashed" });

  for (const ref of [first, second]) {
    for (let answer = 0; answer === 0; ) {
      // Nobody has the name until the thread is back: the answer is the event that is waited for.
      answer = (await ref.call.work(7, patience).catch(() => undefined))?.n ?? 0;
      if (answer === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const after = names.map((name) => system.whereis(name));
  expect(after.map((pid) => [pid?.thread, pid?.incarnation])).toEqual([
    [1, 2],
    [1, 2],
    [2, 1],
  ]);
  expect(after[2]).toEqual(before[2]);
  const reasons: ExitReason[] = [];
  for (const info of await watching.call.heard()) if (info.type === "down") reasons.push(info.reason);
  const reason = { thread: "down", reason: "exit code 1" };
  expect(reasons).toEqual([reason, reason]);
  await system.stop();
});
