/**
 * The data access of backends alone, with its db_modules: every db_switch and db_store of two sites with two shards
 * answers what the scenario says, after the time that it says, and notes what it is asked.
 */

import { blocklist } from "../../../actors/backends/blocklist.ts";
import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { profilePicture } from "../../../actors/backends/profile_picture.ts";
import { publicKeys } from "../../../actors/backends/public_keys.ts";
import { DataAccess, type DataAccessOptions } from "../../../actors/data_access.ts";
import type { ModuleOptions } from "../../../actors/db_module.ts";
import { dataLimits } from "../../../actors/limits.ts";
import { rowKey, shardOf } from "../../../actors/records.ts";
import { shardProcess } from "../../../actors/shard_options.ts";
import { type From, genServer, NanoError, type noReply, type Pid, type System } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";

export const where = { shards: 2, prefixes: ["+49", "+33"], sites: ["A", "B"] } as const satisfies Omit<
  ModuleOptions,
  "backend"
>;

export interface Question {
  /** `A` or `B`. */
  readonly site: string;
  readonly shard: number;
  /** `write`, `amend`, `get`, `scan` or `lookup`. */
  readonly what: string;
  readonly request: unknown;
}

const ok = { ok: true, version: [1, 1, 1] } as const;

/** What a side answers that serves everything: each row is there, and every write is taken. */
function served({ what, request }: Question): unknown {
  switch (what) {
    case "write":
      return (request as { readonly rows: readonly unknown[] }).rows.map(() => ok);
    case "get":
      return (request as { readonly keys: readonly string[] }).keys.map((key) => row(key));
    case "lookup":
    case "scan":
      return [];
    default:
      return { id: "k1", value: Uint8Array.of(1) };
  }
}

export function row(key: string) {
  return { key, value: Uint8Array.of(7), expiresAtMs: 0 };
}

export class ModuleDesk {
  /** `noReply`: it hangs. */
  answer: (question: Question) => unknown = served;
  readonly asked: Question[] = [];

  readonly served = served;

  /** In short, e.g. `A/0 get`, since the last time. */
  took(): string[] {
    return this.asked.splice(0).map(({ site, shard, what }) => `${site}/${shard} ${what}`);
  }
}

/** Of the play under way: its processes all live on this thread. */
let desk = new ModuleDesk();

type Place = Pick<Question, "site" | "shard">;

function ask(place: Place, what: string, request: unknown): unknown {
  const question: Question = { ...place, what, request };
  desk.asked.push(question);
  return desk.answer(question);
}

const shardSwitch = genServer(import.meta.url, "shardSwitch", {
  init: (place: Place) => place,
  call: {
    write: (place, request: unknown, __: From) => ask(place, "write", request) as typeof noReply,
    amend: (place, request: unknown, __: From) => ask(place, "amend", request) as typeof noReply,
    get: (place, request: unknown, __: From) => ask(place, "get", request) as typeof noReply,
    scan: (place, request: unknown, __: From) => ask(place, "scan", request) as typeof noReply,
  },
});

const shardStore = genServer(import.meta.url, "shardStore", {
  init: (place: Place) => place,
  call: { lookup: (place, request: unknown, __: From) => ask(place, "lookup", request) as typeof noReply },
});

export interface ModuleStage {
  readonly world: World;
  readonly system: System;
  readonly desk: ModuleDesk;
  /** A db_switch that was ended with `end` is started again. */
  readonly start: (site: string, shard: number) => Promise<void>;
  readonly end: (site: string, shard: number) => Promise<void>;
  readonly platforms: DataAccess<typeof devicePlatform>;
  readonly blocks: DataAccess<typeof blocklist>;
  readonly oneTime: DataAccess<typeof publicKeys>;
}

/** A number of +49 in this shard. */
export function numberIn(shard: number): string {
  for (let n = 100; ; n++)
    if (shardOf(devicePlatform.name, `+49${n}`, where.shards) === shard) return `+49${n}`;
}

export function platformRow(number: string): string {
  return rowKey(devicePlatform.name, number);
}

export async function playModule(
  scenario: (stage: ModuleStage) => Promise<void>,
  options: DataAccessOptions = {},
): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    desk = new ModuleDesk();
    const backends = [devicePlatform, blocklist, publicKeys, profilePicture];
    const { system } = await world.node("n", { resources: () => ({ backends }) });
    const pids = new Map<string, Pid>();
    const start = async (site: string, shard: number): Promise<void> => {
      const name = shardProcess(site, shard, "db_switch");
      pids.set(name, await system.spawn(shardSwitch, { site, shard }, { name }));
    };
    const end = async (site: string, shard: number): Promise<void> => {
      const pid = pids.get(shardProcess(site, shard, "db_switch"));
      if (pid !== undefined) await system.stopProcess(pid);
    };
    for (const site of where.sites) {
      for (let shard = 0; shard < where.shards; shard++) {
        await start(site, shard);
        await system.spawn(shardStore, { site, shard }, { name: shardProcess(site, shard, "db_store") });
      }
    }
    await scenario({
      world,
      system,
      desk,
      start,
      end,
      platforms: await DataAccess.open(system, devicePlatform, where, options),
      blocks: await DataAccess.open(system, blocklist, where, options),
      oneTime: await DataAccess.open(system, publicKeys, where, options),
    });
  });
}

export const key = numberIn(0);
export const value = Uint8Array.of(7);
export const pauseMs = dataLimits.blockedPauseMs;
export const long = { timeoutMs: 1_000_000 };

/** How it ended, in a word: a code, or what was answered. */
export function ending(answer: Promise<unknown>): Promise<unknown> {
  return answer.catch((error: NanoError) => error.code);
}

export function refusal(code: string, details: Readonly<Record<string, unknown>> = {}): NanoError {
  return new NanoError(code as never, code, details);
}

/** Every side refuses so, until it is told otherwise. */
export function refuses(desk: ModuleDesk, error: NanoError): void {
  desk.answer = () => {
    throw error;
  };
}

export async function until<T>(
  world: World,
  answer: Promise<T>,
): Promise<{ readonly ended: T; readonly ms: number }> {
  const startMs = world.nowMs;
  const ended = await answer;
  return { ended, ms: world.nowMs - startMs };
}

export type Deed = (stage: ModuleStage, options?: { readonly timeoutMs: number }) => Promise<unknown>;

export const get: Deed = ({ platforms }, options = long) => ending(platforms.call.get({ key }, options));
