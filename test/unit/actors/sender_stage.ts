/**
 * db_queuer, db_replay or a PeerSender alone: what stands around it answers what the scenario says and notes what it is
 * asked. There is a row of every key; the peer takes all of them unless it is told otherwise.
 */

import { db_queuer } from "../../../actors/db_queuer.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import type { Outcome, Released, Taken } from "../../../actors/ledger.ts";
import type { TakenWithGrants } from "../../../actors/ledger_messages.ts";
import { PeerSender, type Sent } from "../../../actors/peer_sender.ts";
import { cohortId, type Grants, type Row, type RowKey, rowKey } from "../../../actors/records.ts";
import { isBreakerMessage, type RenewMessage } from "../../../actors/shard_messages.ts";
import {
  defaultTuning,
  type ShardOptions,
  type ShardProcess,
  shardProcess,
  type Tuning,
} from "../../../actors/shard_options.ts";
import type { ApplyGroup, ApplyResult } from "../../../actors/store_messages.ts";
import {
  type Definition,
  type From,
  genServer,
  type Info,
  noReply,
  type Ref,
  type Self,
  type System,
} from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { loneShard } from "./lone_shard.ts";

const cohort = cohortId("things", "+49");
export const grants: Grants = [
  { scope: `cohort/${cohort}`, term: 3 },
  { scope: "shard/0", term: 5 },
];

export function keyOf(name: string): RowKey {
  return rowKey("things", `+49${name}`);
}

export function takenOf(name: string): TakenWithGrants {
  return { key: keyOf(name), cohort, version: [3, 5, 1], pending: 0, grants };
}

export function rowOf(key: RowKey): Row {
  return { key, version: [3, 5, 1], value: Uint8Array.of(1), expiresAtMs: 0 };
}

type Result = { readonly taken: Taken; readonly outcome: Outcome };

/** What the neighbours answer, and what they were asked. */
export class Desk {
  breaker: "closed" | "open" | "half_open" = "closed";
  take: (keys: readonly RowKey[]) => { taken: TakenWithGrants[]; busy: RowKey[] } = (keys) => ({
    taken: keys.map((key) => ({ ...takenOf(""), key })),
    busy: [],
  });
  released: (results: readonly Result[]) => Released = () => ({ again: [], cleared: [] });
  rows: (keys: readonly RowKey[]) => (Row | undefined)[] = (keys) => keys.map(rowOf);
  peerRows: (keys: readonly RowKey[]) => (Row | undefined)[] = (keys) => keys.map(() => undefined);
  fence: (term: number) => number = (term) => term;
  apply: (rows: readonly Row[]) => ApplyResult[] | Promise<ApplyResult[]> = (rows) =>
    rows.map(() => ({ status: "applied" }));
  quarantine: () => void = () => undefined;
  /** The peer answers nothing. */
  isSilent = false;
  /** Waits to be answered, of db_replay. */
  ready: { readonly limit: number; readonly from: From<TakenWithGrants[]> } | undefined;
  readonly asked: { readonly what: string; readonly of: unknown }[] = [];

  note(what: string, of: unknown): void {
    this.asked.push({ what, of });
  }

  /** What was asked under this name since the last time. */
  took(what: string): unknown[] {
    const found = this.asked.filter((each) => each.what === what).map(({ of }) => of);
    this.asked.splice(0, this.asked.length, ...this.asked.filter((each) => each.what !== what));
    return found;
  }
}

/** Of the play under way: its processes all live on this thread. */
let desk = new Desk();

const ledger = genServer(import.meta.url, "ledger", {
  init: (_: undefined, self) => ({ self }),
  call: {
    disown: (_, owner: string) => desk.note("disown", owner),
    own: (_, { keys }: { keys: readonly RowKey[] }) => desk.note("own", keys),
    take: (_, keys: readonly RowKey[]) => {
      desk.note("take", keys);
      return desk.take(keys);
    },
    takeReady: (_, { limit }: { limit: number }, from: From<TakenWithGrants[]>) => {
      desk.note("takeReady", limit);
      desk.ready = { limit, from };
      return noReply;
    },
    release: (_, results: readonly Result[]) => {
      desk.note(
        "release",
        results.map(({ taken, outcome }) => [taken.key, outcome]),
      );
      return desk.released(results);
    },
  },
  cast: {
    unpark: (_, keys: readonly RowKey[]) => desk.note("unpark", keys),
    give: ({ self }, names: readonly string[]) => {
      const { ready } = desk;
      if (ready === undefined) throw new Error("nobody asks for ready keys");
      desk.ready = undefined;
      self.reply(ready.from, names.map(takenOf));
    },
  },
});

const replay = genServer(import.meta.url, "replay", {
  init: () => ({}),
  call: { statistics: () => ({ breaker: desk.breaker }) },
  cast: { feedback: (_, feedback: unknown) => desk.note("feedback", feedback) },
});

const perror = genServer(import.meta.url, "perror", {
  init: () => ({}),
  call: {
    quarantine: (_, entries: readonly { readonly key: RowKey }[]) => {
      desk.note("quarantine", entries);
      desk.quarantine();
    },
  },
  cast: { left: (_, keys: readonly RowKey[]) => desk.note("left", keys) },
});

const store = genServer(import.meta.url, "store", {
  init: () => ({}),
  call: {
    get: (_, keys: readonly RowKey[]) => {
      desk.note("get", keys);
      return desk.rows(keys);
    },
  },
});

const peer = genServer(import.meta.url, "peer", {
  init: () => ({}),
  call: {
    get: (_, keys: readonly RowKey[]) => desk.peerRows(keys),
    fence: (_, { scope, term }: { scope: string; term: number }, __: From<number>) => {
      desk.note("fence", scope);
      return desk.isSilent ? noReply : desk.fence(term);
    },
    apply: async (_, groups: readonly ApplyGroup[], __: From<ApplyResult[][]>) => {
      desk.note(
        "apply",
        groups.map(({ rows }) => rows.map(({ key }) => key)),
      );
      return desk.isSilent ? noReply : Promise.all(groups.map(async ({ rows }) => desk.apply(rows)));
    },
  },
});

/** db_switch, and db_queuer where db_replay is played: what is sent to it. */
const listener = genServer(import.meta.url, "listener", {
  init: (name: string) => ({ name }),
  info: ({ name }, info: Info) => {
    if (info.type !== "message") return;
    const { message } = info;
    if (isBreakerMessage(message)) desk.note("breaker", message.open);
    else desk.note(name, (message as RenewMessage).keys);
  },
});

/** A PeerSender, and nothing else. */
const sender = genServer(import.meta.url, "sender", {
  init: (options: ShardOptions, self: Self): PeerSender => new PeerSender(self, options),
  call: {
    send: (peers, batch: readonly TakenWithGrants[]): Promise<Sent[]> => peers.send(batch),
    pace: (peers) => peers.pace,
  },
});

export interface SenderStage<Played extends Definition> {
  readonly world: World;
  readonly system: System;
  readonly desk: Desk;
  readonly played: Ref<Played>;
  /** Its registered name. */
  readonly name: string;
  /** Answers db_replay's request for ready keys. */
  readonly give: (...names: readonly string[]) => void;
}

type Scenario<Played extends Definition> = (stage: SenderStage<Played>) => Promise<void>;

export async function playQueuer(
  scenario: Scenario<typeof db_queuer>,
  tuning: Partial<Tuning> = {},
  prepared: (desk: Desk) => void = () => undefined,
): Promise<void> {
  await play("db_queuer", tuning, async (stage, name, options) => {
    prepared(stage.desk);
    await stage.system.spawn(replay, undefined, { name: shardProcess("A", 0, "db_replay") });
    await stage.system.spawn(db_queuer, options, { name });
    await scenario({ ...stage, played: stage.system.ref(db_queuer, name) });
  });
}

export async function playReplay(
  scenario: Scenario<typeof db_replay>,
  tuning: Partial<Tuning> = {},
): Promise<void> {
  await play("db_replay", tuning, async (stage, name, options) => {
    await stage.system.spawn(listener, "queuer", { name: shardProcess("A", 0, "db_queuer") });
    await stage.system.spawn(db_replay, options, { name });
    await scenario({ ...stage, played: stage.system.ref(db_replay, name) });
  });
}

export async function playSender(
  scenario: Scenario<typeof sender>,
  tuning: Partial<Tuning> = {},
): Promise<void> {
  await play("db_crawler", tuning, async (stage, name, options) => {
    await stage.system.spawn(sender, options, { name });
    await scenario({ ...stage, played: stage.system.ref(sender, name) });
  });
}

async function play(
  process: ShardProcess,
  tuning: Partial<Tuning>,
  scenario: (stage: Omit<SenderStage<never>, "played">, name: string, options: ShardOptions) => Promise<void>,
): Promise<void> {
  const options: ShardOptions = { ...loneShard, tuning: { ...defaultTuning, ...tuning } };
  await simulateSeed({ seed: 1 }, async (world) => {
    desk = new Desk();
    const { system } = await world.node("n");
    const named = (each: ShardProcess) => ({ name: shardProcess("A", 0, each) });
    await system.spawn(ledger, undefined, named("db_dirty_keys"));
    await system.spawn(perror, undefined, named("db_perror"));
    await system.spawn(store, undefined, named("db_store"));
    await system.spawn(listener, "renew", named("db_switch"));
    await system.spawn(peer, undefined, { name: "peer" });
    const give = (...names: readonly string[]): void =>
      system.ref(ledger, shardProcess("A", 0, "db_dirty_keys")).cast.give(names);
    const name = shardProcess("A", 0, process);
    await scenario({ world, system, desk, name, give }, name, options);
  });
}

export type ReplayStage = SenderStage<typeof db_replay>;

/** The ledger hands these out. Resolves 20 ms later: what comes of it has happened. */
export async function given({ world, give }: ReplayStage, ...names: readonly string[]): Promise<void> {
  give(...names);
  await world.sleep(20);
}

/** Virtual ms until it is so. */
export async function msUntil(world: World, isSo: () => boolean): Promise<number> {
  const startMs = world.nowMs;
  while (!isSo()) await world.sleep(1);
  return world.nowMs - startMs;
}
