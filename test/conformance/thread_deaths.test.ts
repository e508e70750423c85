/** Every way in which a worker thread can end, on real threads: who is told what, and what comes back. */

import { afterEach, describe, expect, it } from "vitest";
import {
  child,
  type ExitReason,
  type Pid,
  type StartOptions,
  type StuckReport,
  type System,
  startSystem,
  supervisor,
  supervisorSpec,
} from "../../src/index.ts";
import { type Deed, mortal, mourner } from "./mortal.ts";
import { watcher } from "./otp_children.ts";

/** Far above what a thread waits for a processor on a busy machine: then it would be killed again. */
const stuckMs = 1_500;

const patience = { timeoutMs: Number.POSITIVE_INFINITY };

let system: System | undefined;

afterEach(async () => {
  await system?.stop();
  system = undefined;
});

/** A set-up that returns the memory that it is given. */
const gated = { module: new URL("../fixtures/mesh_host.js", import.meta.url).href, export: "setup" };

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Asks until somebody has the name in another life: its answer is the event that is waited for. */
async function back(started: System, name: string, before: Pid): Promise<Pid> {
  for (;;) {
    const pid = await started
      .ref(mortal, name)
      .call.who(undefined, patience)
      .catch(() => undefined);
    if (pid !== undefined && pid.incarnation > before.incarnation) return pid;
    await turn();
  }
}

/** The runtime's own requests (a subtree that starts) are answered soon; a waiter that leaked would stay for ever. */
async function nobodyWaits(started: System): Promise<void> {
  while (started.pendingCalls() > 0) await turn();
}

/** Waits until the mortal of thread 1 has taken `count` calls that it never answers. */
async function held(started: System, count: number): Promise<void> {
  while ((await started.ref(mortal, "victim").call.held(undefined, patience)) < count) await turn();
}

/** A mortal on thread 1, beside it a supervisor with another one; a mourner and a watcher on thread 2. */
async function start(options: StartOptions) {
  const started = await startSystem({
    threads: 2,
    resourceLimits: { maxOldGenerationSizeMb: 32 },
    ...options,
  });
  system = started;
  const inner = supervisorSpec({
    strategy: "one_for_one",
    intensity: 3,
    periodMs: 5_000,
    children: [child("inner", mortal, undefined, { name: "inner", thread: 1 })],
  });
  await started.supervise({
    strategy: "one_for_one",
    intensity: 1,
    children: [
      child("victim", mortal, undefined, { name: "victim", thread: 1 }),
      child("subtree", supervisor, inner, { name: "subtree", thread: 1 }),
    ],
  });
  const victim = await started.ref(mortal, "victim").call.who();
  const inside = await started.ref(mortal, "inner").call.who();
  const watching = started.ref(watcher, await started.spawn(watcher, { traps: false }, { thread: 2 }));
  await watching.call.monitor(victim);
  const mourning = started.ref(mourner, await started.spawn(mourner, { target: victim }, { thread: 2 }));
  return { started, victim, inside, watching, mourning };
}

const ways: [string, Deed, string][] = [
  ["process.exit in a handler", "exit", "exit code 7"],
  ["an uncaught error in a timer", "timer", "uncaught: Error: thrown in a timer"],
  ["a rejection that nobody handles", "rejection", "uncaught: Error: nobody handles this"],
  ["a full heap", "heap", "out_of_memory"],
  ["a handler that never returns", "spin", "killed_stuck"],
  ["a handler that never returns after an await", "spinAfterAwait", "killed_stuck"],
];

describe("a thread that ends by", () => {
  it.each(ways)("%s: all who wait hear how, monitors fire, and the trees are back", async (_, deed, how) => {
    const { started, victim, inside, watching, mourning } = await start(
      how === "killed_stuck" ? { stuckMs, onStuck: "kill" } : {},
    );
    const ref = started.ref(mortal, "victim");
    const waiting = [ref.call.hold(1, patience), ref.call.hold(2, { timeoutMs: 600_000 })];
    const mourned = mourning.call.wait(undefined, patience);
    await held(started, 3);
    ref.cast.do(deed);
    const behind = ref.call.hold(3, patience);

    for (const call of [...waiting, behind])
      await expect(call).rejects.toMatchObject({ code: "crashed", details: { reason: how } });
    expect(await mourned).toEqual({ code: "crashed", reason: how });
    const { incarnation } = await back(started, "victim", victim);
    expect(incarnation).toBe(2);
    expect((await back(started, "inner", inside)).thread).toBe(1);

    const reasons: ExitReason[] = [];
    for (const info of await watching.call.heard()) if (info.type === "down") reasons.push(info.reason);
    expect(reasons).toEqual([{ thread: "down", reason: how }]);
    const status = started.status().threads.find(({ thread }) => thread === 1);
    expect(status).toMatchObject({ incarnation: 2, state: "running", lastEnd: how });
    await nobodyWaits(started);
  });

  it.each(ways)("%s: a writer that never pauses is told, and nobody waits in vain", async (_, deed, how) => {
    const { started, victim, inside } = await start(
      how === "killed_stuck" ? { stuckMs, onStuck: "kill" } : {},
    );
    const ref = started.ref(mortal, victim);
    const answers: Promise<unknown>[] = [];
    const codes = new Set<unknown>();
    let refused = false;
    ref.cast.do(deed);
    // Until the thread is known to be down: from then on a call to that life is refused at once.
    while (!refused) {
      const answer = ref.call.hold(0, patience);
      answers.push(
        answer.catch((error: { code: string; details: { sent?: boolean } }) => {
          codes.add(error.code);
          refused ||= error.details.sent === false;
        }),
      );
      await turn();
    }
    await Promise.all(answers);
    await back(started, "inner", inside);
    expect([...codes].filter((code) => code !== "crashed" && code !== "overloaded")).toEqual(["noproc"]);
    expect(codes).toContain("crashed");
    await back(started, "victim", victim);
    await nobodyWaits(started);
  });
});

/** Reports about a thread's first life: on a busy machine others may stand still for as long, too. */
function reportsOf(thread: number) {
  const reports: StuckReport[] = [];
  const keep = (report: StuckReport): void => {
    if (report.thread === thread && report.incarnation === 1) reports.push(report);
  };
  return { reports, keep };
}

describe("a thread that hangs", () => {
  it("is named with process, handler and stack, stays as it is under `report`, and turns again", async () => {
    const { reports, keep } = reportsOf(1);
    const trail = new SharedArrayBuffer(8);
    const { started, victim } = await start({
      stuckMs,
      onThreadStuck: keep,
      setup: { ...gated, options: { trail } },
    });
    const spun = started.ref(mortal, "victim").call.spinUntilFreed(undefined, patience);
    while (reports.length === 0) await turn();
    const status = started.status().threads.find(({ thread }) => thread === 1);
    Atomics.store(new Int32Array(trail), 1, 1);
    await spun;
    const handler = { definition: "mortal", kind: "call", method: "spinUntilFreed" };
    const culprit = { process: victim, name: "victim", ...handler };
    expect(reports).toEqual([
      expect.objectContaining({ thread: 1, incarnation: 1, action: "report", turn: culprit, pending: [] }),
    ]);
    // V8 may have inlined the handler; then its frame is that of who called it.
    expect(reports[0]?.stack?.join()).toMatch(/spinUntilFreed \(file:.*mortal\.js:\d+\)|#dispatch/);
    expect(reports[0]?.words).toMatch(
      /^thread 1 hangs: in spinUntilFreed of mortal <nano\.1\.1\.\d+> "victim" \(call\)/,
    );
    expect(status).toMatchObject({ state: "stuck", turn: culprit });
    expect(status?.words).toMatch(/^thread 1 is stuck; in spinUntilFreed of mortal/);
    expect((await started.ref(mortal, "victim").call.who()).incarnation).toBe(1);
  });

  it("outside of a turn is reported with the handlers that were pending", async () => {
    const { reports, keep } = reportsOf(1);
    const { started, victim } = await start({
      stuckMs,
      onStuck: "kill",
      onThreadStuck: keep,
    });
    started.ref(mortal, "victim").cast.do("spinAfterAwait");
    await back(started, "victim", victim);
    expect(reports).toHaveLength(1);
    expect(reports[0]).toMatchObject({
      action: "kill",
      pending: [{ process: victim, definition: "mortal", kind: "cast", method: "do" }],
    });
    expect(reports[0]?.turn).toBeUndefined();
    expect(reports[0]?.stack?.join()).toMatch(/spin(ForEver|AfterAwait) \(file:/);
  });

  it("and is the main one is seen by a worker, and told once it turns again", async () => {
    const { reports, keep } = reportsOf(0);
    const { started, watching } = await start({ stuckMs, onThreadStuck: keep });
    const local = await started.spawn(mortal, undefined, { name: "local", thread: 0 });
    while (reports.length === 0) {
      await started.ref(mortal, "local").call.spinFor(2 * stuckMs, patience);
      await turn();
    }
    // One of two workers told it.
    await started.ref(mortal, "victim").call.who();
    await watching.call.heard();
    await turn();
    expect(reports).toHaveLength(1);
    expect(reports[0]).toMatchObject({
      thread: 0,
      action: "report",
      turn: { process: local, definition: "mortal", kind: "call", method: "spinFor" },
    });
  });

  it("can't be killed if it has a set-up that does not say it is terminable", async () => {
    const setup = { ...gated, options: { trail: new SharedArrayBuffer(8) } };
    for (const refused of [setup, { ...setup, terminable: false }]) {
      await expect(startSystem({ threads: 1, onStuck: "kill", setup: refused })).rejects.toMatchObject({
        code: "unsafe",
        details: { field: "onStuck", cure: 'onStuck: "report"' },
      });
    }
    system = await startSystem({ threads: 1, onStuck: "kill", setup: { ...setup, terminable: true } });
    expect(system.threads()).toEqual([0, 1]);
  });

  it.each([
    { stuckMs: -1 },
    { stuckMs: Number.NaN },
    { stuckMs: 2 ** 31 },
    { onStuck: "ignore" as "report" },
  ])("is watched by options within their range: %o", async (options) => {
    const [field] = Object.keys(options);
    await expect(startSystem({ threads: 1, ...options })).rejects.toMatchObject({
      code: "bad_argument",
      details: { field },
    });
  });
});
