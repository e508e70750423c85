/**
 * The lock of a data directory: one process has it, its threads share it, and any death of the process releases it.
 *
 * It is an OS lock on an open file, `lock`: flock(1) takes it through a descriptor that it inherits, so it belongs to
 * this process and ends with it, whatever the cause; neither a reused process number nor another container can fool
 * it (2.8 ms, once). Measured and left: a socket in the folder outlives a SIGKILL as a name that somebody must remove,
 * and the one slot of an LMDB reader table was taken from a living holder of another pid namespace. Where there is no
 * flock(1), claims stand for it (directory_claims.ts).
 */

import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import { NanoError } from "../../src/index.ts";
import { claim, claimant, unclaim } from "./directory_claims.ts";
import { type Holder, isThisProcess, lifeOf, parseHolder, thisHolder } from "./directory_holder.ts";

export interface DirectoryLock {
  /** False: another thread of this process took it, and gives it back. */
  readonly own: boolean;
  /** Repeating it changes nothing. */
  release(): void;
}

export interface LockOptions {
  /** How long a holder that is about to die may take, ms. Default: 0. The thread stands still meanwhile. */
  readonly waitMs?: number;
  /** The command that takes the lock; "" stands for a platform without one. */
  readonly flock?: string;
  /** What the error tells to do about another process that has it. */
  readonly cure?: string;
}

/** Between two tries: a process that was killed is gone within a few. */
const retryMs = 50;

/** Who has just taken the lock writes its record within this. */
const recordMsMax = 250;
const recordRetryMs = 5;

/** Created, if need be. Errors: `locked` naming the holder; `unavailable`. */
export function lockDirectory(directory: string, options: LockOptions = {}): DirectoryLock {
  const { waitMs = 0, flock = "flock", cure = "stop it, or give another directory" } = options;
  mkdirSync(directory, { recursive: true });
  const until = performance.now() + waitMs;
  for (;;) {
    const taken = take(directory, flock);
    if ("release" in taken) return taken;
    if (performance.now() >= until) throw locked(directory, taken, cure);
    pause(retryMs);
  }
}

/** Does what needs the directory to itself. Errors: as `lockDirectory`, and those of `work`. */
export async function whileLocked<T>(
  directory: string,
  work: () => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const lock = lockDirectory(directory, options);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

interface Refused {
  /** undefined: it has not written its record. */
  readonly holder: Holder | undefined;
  /** By its record alone: if its process is gone, that can't be told from here. */
  readonly byClaim: boolean;
}

function take(directory: string, flock: string): DirectoryLock | Refused {
  const path = join(directory, "lock");
  const file = openSync(path, "a+");
  const outcome = lockFile(file, flock, path);
  if (outcome === "taken") return recorded(directory, file);
  closeSync(file);
  return outcome === "busy" ? sharedWith(recordOf(path), false) : takeByClaim(directory, path);
}

/** `missing`: this platform has no such command. */
function lockFile(file: number, flock: string, path: string): "taken" | "busy" | "missing" {
  if (flock === "") return "missing";
  const { status, error, stderr } = spawnSync(flock, ["-n", "-x", "3"], {
    stdio: ["ignore", "ignore", "pipe", file],
  });
  if (status === 0) return "taken";
  if (status === 1) return "busy";
  if (error !== undefined && "code" in error && error.code === "ENOENT") return "missing";
  closeSync(file);
  const text = error?.message ?? String(stderr).trim();
  throw new NanoError("unavailable", `${path} can't be locked: ${text}`, { path });
}

/** The lock is this process's: it says so, and looks for one that could not lock the file. */
function recorded(directory: string, file: number): DirectoryLock | Refused {
  let open = true;
  const release = (): void => {
    if (!open) return;
    open = false;
    ftruncateSync(file, 0);
    closeSync(file);
  };
  ftruncateSync(file, 0);
  writeSync(file, JSON.stringify(thisHolder()));
  const other = claimant(directory);
  if (other === undefined) return { own: true, release };
  release();
  return { holder: other, byClaim: true };
}

/** Both write their own record before they look for the other's, so at most one of them goes on. */
function takeByClaim(directory: string, path: string): DirectoryLock | Refused {
  const standing = claim(directory, thisHolder());
  if (standing !== undefined) return sharedWith(standing, true);
  let open = true;
  const release = (): void => {
    if (open) unclaim(directory);
    open = false;
  };
  const other = parseHolder(readFileSync(path, "utf8"));
  if (other === undefined || lifeOf(other) === "dead") return { own: true, release };
  release();
  return { holder: other, byClaim: true };
}

/** Another thread of this process works under the same lock; the thread that took it does not get it twice. */
function sharedWith(holder: Holder | undefined, byClaim: boolean): DirectoryLock | Refused {
  if (holder === undefined || !isThisProcess(holder) || holder.thread === threadId)
    return { holder, byClaim };
  return { own: false, release: () => undefined };
}

/** What stands in a locked file may still be its last owner's record, or nothing. */
function recordOf(path: string): Holder | undefined {
  const until = performance.now() + recordMsMax;
  for (;;) {
    const holder = parseHolder(readFileSync(path, "utf8"));
    if (holder !== undefined && lifeOf(holder) !== "dead") return holder;
    if (performance.now() >= until) return undefined;
    pause(recordRetryMs);
  }
}

function locked(directory: string, { holder, byClaim }: Refused, cure: string): NanoError {
  return new NanoError("locked", `${directory} is ${lockedText(holder, byClaim, cure)}`, {
    directory,
    holder,
  });
}

function lockedText(holder: Holder | undefined, byClaim: boolean, cure: string): string {
  if (holder === undefined) return `in use by another process; ${cure}`;
  const { pid, since } = holder;
  if (isThisProcess(holder)) return `open in this process (${pid}) since ${since}; closeDataDirectory first`;
  if (lifeOf(holder) === "alive") return `in use by process ${pid} since ${since}; ${cure}`;
  const gone = byClaim ? "; if that container is gone, remove its files lock and lock-*" : "";
  return `in use by process ${pid} of another container since ${since}; ${cure}${gone}`;
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
