/**
 * fault_link: stands between a shard and its peer's store and makes the main job's faults: answers late, fails a
 * share of the requests, fails all of them, rejects poison keys for ever. Speaks db_store's messages.
 *
 * State: the fault in force, counters of how often each fired. Messages: those of db_store, and `mode`, `fired`.
 */

import { db_store } from "../../actors/db_store.ts";
import type { Row, RowKey, Scope, Version } from "../../actors/records.ts";
import type {
  ApplyGroup,
  ApplyResult,
  EncodedRow,
  Identity,
  ScanRange,
} from "../../actors/store_messages.ts";
import {
  type From,
  genServer,
  NanoError,
  noReply,
  type Ref,
  type Self,
  toErrorData,
} from "../../src/index.ts";

export interface FaultLinkOptions {
  /** Registered name of the peer's db_store. */
  readonly peer: string;
  readonly poison: readonly RowKey[];
}

export interface FaultMode {
  readonly delayMs: number;
  /** Share of the requests that fail, 0 to 1, half of them after their effect. */
  readonly failShare: number;
  readonly down: boolean;
}

export const calm: FaultMode = { delayMs: 0, failShare: 0, down: false };

export type FaultName = "slow" | "errors" | "down" | "poison";

interface State {
  readonly self: Self;
  readonly peer: Ref<typeof db_store>;
  readonly poison: ReadonlySet<RowKey>;
  mode: FaultMode;
  readonly fired: Record<FaultName, number>;
}

const patience = { timeoutMs: 10_000 };

export const fault_link = genServer(import.meta.url, "fault_link", {
  deadlines: "own",
  init: ({ peer, poison }: FaultLinkOptions, self): State => ({
    self,
    peer: self.ref(db_store, peer),
    poison: new Set(poison),
    mode: calm,
    fired: { slow: 0, errors: 0, down: 0, poison: 0 },
  }),

  call: {
    apply: (state, groups: readonly ApplyGroup[], from: From<ApplyResult[][]>) =>
      forward(state, from, () => applyBut(state, groups)),
    get: (state, keys: readonly RowKey[], from: From<(Row | undefined)[]>) =>
      forward(state, from, () => state.peer.call.get(keys, patience)),
    peek: (state, request: { range: ScanRange; limit: number }, from: From<Row[]>) =>
      forward(state, from, () => state.peer.call.peek(request, patience)),
    peekEncoded: (state, request: { range: ScanRange; limit: number }, from: From<EncodedRow[]>) =>
      forward(state, from, () => state.peer.call.peekEncoded(request, patience)),
    lookup: (state, request: { backend: string; sub: string; limit: number }, from: From<string[]>) =>
      forward(state, from, () => state.peer.call.lookup(request, patience)),
    fence: (state, request: { scope: Scope; term: number }, from: From<number>) =>
      forward(state, from, () => state.peer.call.fence(request, patience)),
    fences: (state, scopes: readonly Scope[], from: From<number[]>) =>
      forward(state, from, () => state.peer.call.fences(scopes, patience)),
    collect: (state, request: { key: RowKey; version: Version }, from: From<boolean>) =>
      forward(state, from, () => state.peer.call.collect(request, patience)),
    identity: (state, _: undefined, from: From<Identity>) =>
      forward(state, from, () => state.peer.call.identity(undefined, patience)),
    sync: (state, _: undefined, from: From<void>) =>
      forward(state, from, () => state.peer.call.sync(undefined, patience)),

    mode: (state, mode: FaultMode) => {
      state.mode = mode;
    },
    fired: (state) => ({ ...state.fired }),
  },
});

/** Requests overtake each other as they would on a network: none waits for another's delay. */
function forward<T>(state: State, from: From<T>, ask: () => Promise<T>) {
  disturbed(state, ask).then(
    (value) => state.self.reply(from, value),
    (error) => state.self.replyError(from, toErrorData(error)),
  );
  return noReply;
}

async function disturbed<T>(state: State, ask: () => Promise<T>): Promise<T> {
  const { mode, self } = state;
  if (mode.delayMs > 0) {
    state.fired.slow++;
    await self.sleep(mode.delayMs);
  }
  if (mode.down) {
    state.fired.down++;
    throw new NanoError("unavailable", "fault: the remote is down");
  }
  const chance = self.random.next("fault_link.fail");
  if (chance >= mode.failShare) return ask();
  state.fired.errors++;
  if (chance < mode.failShare / 2) await ask();
  throw new NanoError("unavailable", "fault: the remote failed");
}

async function applyBut(state: State, groups: readonly ApplyGroup[]): Promise<ApplyResult[][]> {
  if (!groups.some(({ rows }) => rows.some(({ key }) => state.poison.has(key)))) {
    return state.peer.call.apply(groups, patience);
  }
  const accepted = groups.map((group) => ({
    ...group,
    rows: group.rows.filter(({ key }) => !state.poison.has(key)),
  }));
  const results = await state.peer.call.apply(accepted, patience);
  return groups.map(({ rows }, g) => {
    const applied = [...(results[g] ?? [])];
    return rows.map(({ key }): ApplyResult => {
      const result = state.poison.has(key) ? undefined : applied.shift();
      if (result !== undefined) return result;
      state.fired.poison++;
      return { status: "rejected", code: "poison" };
    });
  });
}
