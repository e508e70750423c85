/**
 * What the benches write, and the two ways to press it: a closed loop (so many outstanding) for capacity, an open
 * loop (arrivals at a rate, whatever the answers do) for latency. Latency counts from when a write was *due*, so a
 * stall is seen by all that would have come meanwhile.
 */

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { build, type Histogram } from "hdr-histogram-js";
import { callingCodes } from "../app/driver/numbering_plans.ts";
import { NanoError } from "../src/index.ts";
import type { TwoSites } from "./two_sites.ts";

export interface Write {
  readonly backend: string;
  readonly operation: string;
  readonly message: { readonly key: string; readonly value: Uint8Array; readonly member?: string };
}

const users = 50_000;
const valueBytes = 64;
const pool = randomBytes(64 * 1_024);

/** The n-th write: four backends in turn for each user, users in an order that visits each once per round. */
export function writeAt(n: number): Write {
  // 7,919 is prime to the number of users: a full cycle, and neighbours in time are none in the store.
  const user = (Math.floor(n / 4) * 7_919) % users;
  const key = keyOf(user);
  const offset = (n * 61) % (pool.byteLength - valueBytes);
  const value = pool.subarray(offset, offset + valueBytes);
  switch (n % 4) {
    case 0:
      return { backend: "device_platform", operation: "put", message: { key, value } };
    case 1:
      return { backend: "profile_picture", operation: "put", message: { key, value } };
    case 2:
      return {
        backend: "blocklist",
        operation: "add",
        message: { key, member: keyOf((user + 1) % users), value },
      };
    default:
      return {
        backend: "groups",
        operation: "add",
        message: { key, member: keyOf((user + 2) % users), value },
      };
  }
}

function keyOf(user: number): string {
  const { prefix } = callingCodes[user % callingCodes.length] ?? { prefix: "+49" };
  return `${prefix}${1_500_000_000 + user}`;
}

/** Runs one write; an error is the caller's. */
export function perform({ access }: Pick<TwoSites, "access">, write: Write): Promise<unknown> {
  const way = access.get(write.backend);
  if (way === undefined) throw new NanoError("config", `no backend ${write.backend}`);
  return way.run(write.operation, write.message);
}

/** `outstanding` writes at a time for `ms`; how many were acknowledged, and in which time. */
export async function closedLoop(
  target: (n: number) => Promise<unknown>,
  { outstanding, ms, first }: { readonly outstanding: number; readonly ms: number; readonly first: number },
): Promise<{ readonly done: number; readonly seconds: number }> {
  const startedAt = performance.now();
  const until = startedAt + ms;
  let next = first;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      await target(next++);
      done++;
    }
  };
  await Promise.all(Array.from({ length: outstanding }, lane));
  return { done, seconds: (performance.now() - startedAt) / 1_000 };
}

export interface OpenLoopResult {
  /** Microseconds. */
  readonly latency: Histogram;
  readonly failed: number;
  readonly sent: number;
}

/** Poisson arrivals at `perSecond` for `ms`; waits for the last answer. */
export async function openLoop(
  target: (n: number) => Promise<unknown>,
  { perSecond, ms, first }: { readonly perSecond: number; readonly ms: number; readonly first: number },
): Promise<OpenLoopResult> {
  const latency = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 120_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const running = new Set<Promise<void>>();
  let failed = 0;
  let next = first;
  const startedAt = performance.now();
  let dueAt = startedAt;
  const send = (due: number): void => {
    const answered = target(next++).then(
      () => latency.recordValue(Math.max(1, Math.round((performance.now() - due) * 1_000))),
      () => {
        failed++;
      },
    );
    const one: Promise<void> = answered.then(() => void running.delete(one));
    running.add(one);
  };
  while (dueAt < startedAt + ms) {
    const now = performance.now();
    while (dueAt <= now) {
      send(dueAt);
      dueAt += (-Math.log(1 - Math.random()) * 1_000) / perSecond;
    }
    await sleep(Math.max(0, Math.floor(dueAt - now)));
  }
  await Promise.all(running);
  return { latency, failed, sent: next - first };
}
