/** What `nanoactor audit` prints, on a directory with and without a control store. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { DecisionLog } from "../../actors/decision_log.ts";
import { layout } from "../../actors/stores/data_directory.ts";
import { lockDirectory } from "../../actors/stores/directory_lock.ts";
import { openLmdbControl } from "../../actors/stores/lmdb_control.ts";
import { nodeDigest } from "../../actors/stores/sha256.ts";
import type { Self } from "../../src/index.ts";
import { projectRoot } from "../tidy/project.ts";

const directory = mkdtempSync(join(tmpdir(), "nano-audit-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

function audit(...words: readonly string[]): Ended {
  const command = join(projectRoot, "dist", "app", "main.js");
  try {
    const out = execFileSync(process.execPath, [command, "audit", ...words], {
      encoding: "utf8",
      stdio: "pipe",
    });
    return { code: 0, out, said: "" };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    return { code: status, out: stdout, said: stderr };
  }
}

/** As a coordinator would write it. */
async function written(steps: readonly ("announced" | "blocked")[]): Promise<void> {
  const control = openLmdbControl(layout.control(directory));
  const self = {
    name: "A/db_failover",
    clock: { now: () => 1_800_000_000_000 },
    random: { bytes: (_: string, count: number) => new Uint8Array(count) },
  } as unknown as Self;
  const log = new DecisionLog(self, control, nodeDigest);
  for (const step of steps) await log.append({ prefix: "+49", decision: "d", step });
  await control.close();
}

it("shows and verifies the log of a data directory, finds what was changed in it, and exits by that", async () => {
  await written(["announced", "blocked"]);
  expect(audit("show", "+49", "--data", directory).out).toBe(
    "   1  2027-01-15T08:00:00.000Z  d  announced (A/db_failover)\n" +
      "   2  2027-01-15T08:00:00.000Z  d  blocked (A/db_failover)\n",
  );
  const whole = audit("verify", "--data", directory);
  expect(whole).toMatchObject({
    code: 0,
    out: expect.stringMatching(/\n1 prefix, 2 entries: nothing is wrong\n$/),
  });
  const control = openLmdbControl(layout.control(directory));
  const record = await control.get("audit/+49/00000001");
  await control.compareAndSet("audit/+49/00000001", 1, { ...(record?.value as object), by: "somebody" });
  await control.close();
  const changed = audit("verify", "--data", directory);
  expect(changed.code).toBe(1);
  expect(changed.out).toContain("WRONG +49: entry 1 was changed: its hash is not that of what it says");
});

it("erases nothing in a directory that another process has open, and says who has it", () => {
  const lock = lockDirectory(directory);
  try {
    const refused = audit("erase", "+49151", "--data", directory);
    expect(refused.code).not.toBe(0);
    expect(refused.said).toContain(String(process.pid));
  } finally {
    lock.release();
  }
  expect(audit("erase", "+49151", "--data", directory)).toMatchObject({
    code: 0,
    out: "erased from 0 entries\n",
  });
});

it("says what a directory without a control store is, and where help is", () => {
  const nowhere = audit("verify", "--data", join(directory, "nowhere"));
  expect(nowhere).toMatchObject({ code: 2, said: expect.stringContaining("no control store in") });
  expect(audit("--help").out).toMatch(/verify .*\n(.*\n)*.*show .*\n(.*\n)*.*erase /);
});
