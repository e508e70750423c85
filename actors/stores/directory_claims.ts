/**
 * A lock of numbered claim files, for platforms without flock(1). A claim is a holder's record; the highest one whose
 * process lives has the directory. A claim is never changed and its number never used again while it stands, so two
 * starters can't both replace a dead one: a link that exists fails.
 *
 * It judges by process numbers: a dead holder in another container can't be told from a living one, and keeps the
 * directory until its claim is removed by hand.
 */

import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Holder, lifeOf, parseHolder } from "./directory_holder.ts";

const prefix = "lock-";

/** The holder that stands in the way, or undefined: `holder` has the directory now. */
export function claim(directory: string, holder: Holder): Holder | undefined {
  const draft = join(directory, `lock.${holder.pid}.${holder.thread}`);
  writeFileSync(draft, JSON.stringify(holder));
  try {
    for (;;) {
      const highest = highestClaim(directory);
      if (highest.holder !== undefined) return highest.holder;
      const number = highest.number + 1;
      if (!linked(draft, pathOf(directory, number))) continue;
      const stand = claims(directory);
      if (stand[0] === number) {
        for (const older of stand.slice(1)) remove(directory, older);
        return undefined;
      }
      // The number was free because a whole life of another holder passed between the look and the link.
      remove(directory, number);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The claim stays, as one of a holder that is gone: what was judged by its number must not be a newer one's. */
export function unclaim(directory: string): void {
  const { number } = highestClaim(directory);
  if (number > 0) writeFileSync(pathOf(directory, number), "");
}

/** Who has the directory by a claim; undefined if nobody who may be alive. */
export function claimant(directory: string): Holder | undefined {
  return highestClaim(directory).holder;
}

interface HighestClaim {
  /** 0: there is none. */
  readonly number: number;
  /** undefined: its process is dead, or has given it up. */
  readonly holder: Holder | undefined;
}

function highestClaim(directory: string): HighestClaim {
  for (;;) {
    const [number] = claims(directory);
    if (number === undefined) return { number: 0, holder: undefined };
    const text = readClaim(directory, number);
    if (text === undefined) continue; // a newer one replaced it between the two looks
    const holder = parseHolder(text);
    return { number, holder: holder === undefined || lifeOf(holder) === "dead" ? undefined : holder };
  }
}

/** Highest first. */
function claims(directory: string): number[] {
  const names = readdirSync(directory).filter((name) => /^lock-\d+$/.test(name));
  return names.map((name) => Number(name.slice(prefix.length))).sort((a, b) => b - a);
}

/** undefined: it is gone. */
function readClaim(directory: string, number: number): string | undefined {
  try {
    return readFileSync(pathOf(directory, number), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function remove(directory: string, number: number): void {
  rmSync(pathOf(directory, number), { force: true });
}

function pathOf(directory: string, number: number): string {
  return join(directory, `${prefix}${number}`);
}
