/** The status board, the watch that reads it and what follows: in one thread, mostly with times that the test says. */

import { describe, expect, test } from "vitest";
import { watchLimits } from "../../src/base/limits.ts";
import { replacementDelayMs } from "../../src/platform/replacement.ts";
import { BoardReader, boardMemory, ThreadBoard } from "../../src/platform/status_board.ts";
import { Watch } from "../../src/platform/watch.ts";
import { type StuckReport, turnNamer, Watchdog } from "../../src/platform/watchdog.ts";
import { silentLog } from "./support.ts";

function board(incarnation = 1, memory = boardMemory(2)) {
  const own = new ThreadBoard(memory, { thread: 1, incarnation, threadId: 17 });
  return { own, memory, reader: new BoardReader(memory) };
}

describe("the status board", () => {
  test("shows the turn under way, not the one before it, and none between two", () => {
    const { own, reader } = board();
    const [account, bank] = [own.of("account"), own.of("bank")];
    expect(reader.read(1)).toMatchObject({ incarnation: 1, threadId: 17, turn: 0, now: undefined });
    own.running(1_234);
    account.begin(5, "call", "add");
    expect(reader.read(1)).toMatchObject({
      turn: 1,
      runMs: 1_234,
      now: { process: 5, definition: "account", kind: "call", method: "add" },
    });
    bank.begin(6, "info", "");
    expect(reader.read(1).now).toEqual({ process: 6, definition: "bank", kind: "info", method: "" });
    account.begin(5, "call", "add");
    expect(reader.read(1).now).toMatchObject({ process: 5, method: "add" });
    own.idle();
    expect(reader.read(1)).toMatchObject({ turn: 3, now: undefined });
    expect(reader.read(2)).toMatchObject({ incarnation: 0, now: undefined });
  });

  test("shows an `init` within a turn, then the turn again", () => {
    const { own, reader } = board();
    const [parent, infant] = [own.of("parent"), own.of("infant")];
    parent.begin(5, "call", "start one");
    const entered = infant.enter(2 ** 31 - 1, "init");
    expect(reader.read(1).now).toMatchObject({ process: 2 ** 31 - 1, definition: "infant", kind: "init" });
    infant.leave(entered);
    expect(reader.read(1).now).toMatchObject({ process: 5, definition: "parent", method: "start one" });
  });

  test("shows pending handlers until they settle, and as many as it has places for", () => {
    const { own, reader } = board();
    const marks = own.of("account");
    for (let process = 1; process <= watchLimits.boardPending + 1; process++) {
      marks.begin(process, "cast", "wait");
      marks.awaits();
    }
    expect(reader.read(1).pending).toHaveLength(watchLimits.boardPending);
    for (let process = 2; process <= watchLimits.boardPending + 1; process++) marks.settled(process);
    expect(reader.read(1).pending).toEqual([
      { process: 1, definition: "account", kind: "cast", method: "wait" },
    ]);
  });

  test("cuts a long name between two characters, and has a process without a name when it is full", () => {
    const { own, reader } = board();
    const marks = own.of("é".repeat(40));
    marks.begin(1, "call", "m");
    expect(reader.read(1).now?.definition).toBe("é".repeat(31));
    for (let index = 0; index < watchLimits.boardNames + 5; index++) marks.begin(2, "call", `m${index}`);
    expect(reader.read(1).now).toEqual({ process: 2, definition: "?", kind: "?", method: "" });
    marks.begin(3, "call", "m");
    expect(reader.read(1).now?.definition).toBe("é".repeat(31));
  });

  test("keeps the first last word of a life over the next life, and tells it of that life alone", () => {
    const { own, memory, reader } = board();
    expect(reader.endOf(1, 1)).toBeUndefined();
    own.endsWith(`uncaught: ${"x".repeat(500)}`);
    reader.setEnd(1, 1, "killed_stuck");
    own.of("account").begin(5, "call", "add");
    board(2, memory);
    expect(reader.endOf(1, 1)).toBe(`uncaught: ${"x".repeat(watchLimits.endWordBytes - 10)}`);
    expect(reader.endOf(1, 2)).toBeUndefined();
    expect(reader.read(1)).toMatchObject({ incarnation: 2, turn: 0, now: undefined });
    reader.setEnd(1, 2, "out_of_memory");
    expect([reader.endOf(1, 1), reader.endOf(1, 2)]).toEqual([undefined, "out_of_memory"]);
  });

  test("lets one of those who see a thread stand still tell it, once for each beat", () => {
    const { reader, memory } = board();
    const other = new BoardReader(memory);
    expect([reader.claim(0, 4), other.claim(0, 4), reader.claim(0, 5)]).toEqual([true, false, true]);
  });
});

describe("the watch", () => {
  const stuckMs = 1_000;
  const lookMs = 250;

  function watched() {
    const { own, reader } = board();
    const watch = new Watch(reader, stuckMs, lookMs);
    let nowMs = 0;
    const look = (afterMs = lookMs) => {
      nowMs += afterMs;
      const { stuck, moving } = watch.look([1], nowMs, 1_000_000 + nowMs);
      return [stuck.map(({ stillMs }) => stillMs), moving.length];
    };
    return { own, watch, reader, look };
  }

  test("tells once of a thread that stands still for stuckMs, and once that it moves again", () => {
    const { own, watch, look } = watched();
    own.of("account").begin(5, "call", "add");
    for (let looks = 0; looks < 4; looks++) expect(look()).toEqual([[], 0]);
    expect(watch.isStuck(1)).toBe(false);
    expect(look()).toEqual([[1_000], 0]);
    expect(look()).toEqual([[], 0]);
    expect(watch.isStuck(1)).toBe(true);
    own.beat();
    expect(look()).toEqual([[], 1]);
    expect(watch.isStuck(1)).toBe(false);
  });

  test.each<[string, (own: ThreadBoard) => void]>([
    ["turns follow one another", (own) => own.of("account").begin(5, "call", "add")],
    ["its event loop turns", (own) => own.beat()],
  ])("tells nothing while %s", (_, move) => {
    const { own, look } = watched();
    for (let looks = 0; looks < 20; looks++) {
      expect(look()).toEqual([[], 0]);
      move(own);
    }
  });

  test("does not count the time in which it slept itself", () => {
    const { own, look } = watched();
    own.of("account").begin(5, "call", "add");
    look();
    expect(look(3_600_000)).toEqual([[], 0]);
    own.beat();
    expect(look()).toEqual([[], 0]);
  });

  test("knows a turn that ended from the one that was stuck, and a new life from the old one", () => {
    const { own, reader, watch } = watched();
    own.of("account").begin(5, "call", "add");
    const stuck = { thread: 1, incarnation: 1, shown: reader.read(1), stillMs: 1_000 };
    expect(watch.stands(stuck)).toBe(true);
    own.of("account").begin(5, "call", "add");
    expect(watch.stands(stuck)).toBe(false);
  });

  test("bounds when a turn began by the looks that saw another one", () => {
    const { own, reader, watch, look } = watched();
    own.of("account").begin(5, "call", "add");
    look();
    look();
    expect(watch.notBefore(1, reader.read(1))).toBe(0);
    own.of("account").begin(5, "call", "add");
    expect(watch.notBefore(1, reader.read(1))).toBe(1_000_000 + 2 * lookMs);
    look();
    look();
    expect(watch.notBefore(1, reader.read(1))).toBe(1_000_000 + 2 * lookMs);
  });
});

describe("the watchdog", () => {
  /** Looks until it has reported a thread that stands still. */
  async function reported(moves: boolean, policy: "report" | "kill") {
    const { own, reader } = board();
    own.of("account").begin(5, "call", "add");
    const reports: StuckReport[] = [];
    const killed: number[] = [];
    const watchdog = new Watchdog({
      board: reader,
      stuckMs: 10,
      threads: () => [1],
      nameTurn: turnNamer("n", ({ id }) => `name ${id}`),
      log: silentLog,
      policy,
      stackOf: async () => {
        if (moves) own.idle();
        if (moves) own.beat();
        return ["add (account.js:1)"];
      },
      kill: ({ thread }) => killed.push(thread),
      onStuck: (report) => reports.push(report),
    });
    try {
      while (reports.length === 0) {
        await watchdog.look();
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      watchdog.stop();
    }
    return { report: reports[0], killed };
  }

  test("kills a thread that still stands when its stack has been taken, and says whose turn holds it", async () => {
    const { report, killed } = await reported(false, "kill");
    const process = { node: "n", thread: 1, incarnation: 1, id: 5 };
    const turn = { process, name: "name 5", definition: "account", kind: "call", method: "add" };
    expect(report).toMatchObject({ action: "kill", turn, stack: ["add (account.js:1)"] });
    expect(report?.words).toMatch(
      /^thread 1 hangs: in add of account <n\.1\.1\.5> "name 5" \(call\), .*it is killed$/,
    );
    expect(killed).toEqual([1]);
  });

  test("lets a thread live that came back meanwhile, or is only to be reported", async () => {
    for (const { report, killed } of [await reported(true, "kill"), await reported(false, "report")]) {
      expect(report).toMatchObject({ action: "report" });
      expect(killed).toEqual([]);
    }
  });
});

test("a thread is replaced at once after its first short life, then later and later, by chance", () => {
  const limits = { replaceDelayMs: 100, replaceDelayMaxMs: 5_000, replaceJitter: 0.5 };
  const delays = [0, 1, 2, 3, 7, 8, 50].map((lives) => replacementDelayMs(lives, limits, 0));
  expect(delays).toEqual([0, 0, 100, 200, 3_200, 5_000, 5_000]);
  expect(replacementDelayMs(3, limits, 0.5)).toBe(150);
  expect(replacementDelayMs(3, limits, 0.999)).toBeGreaterThanOrEqual(100);
});
