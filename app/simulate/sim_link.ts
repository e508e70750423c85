/**
 * sim_link: stands between a shard and its peer's store in the simulator, as a gateway would. A scenario makes it
 * slow, unreliable or dead, has rows rejected, or parks single requests and replies at named pause points.
 *
 * State: none; what it does now is the thread's resource `network`. Messages: those of db_store that a peer sends.
 */

import { db_store } from "../../actors/db_store.ts";
import type { Row, RowKey, Scope, Site, Version } from "../../actors/records.ts";
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
import type { PausePoints } from "../../src/simulation/index.ts";

/** How the way from one site to the other is now. */
export interface Weather {
  delayMs: number;
  /** Share of the requests that fail, 0 to 1, half of them after their effect. */
  failShare: number;
  down: boolean;
  /** The remote rejects these rows for good. */
  readonly rejected: Set<RowKey>;
}

export type LinkFault = "link slow" | "link down" | "request lost" | "answer lost" | "rejected";

/** The resource `network`: shared by scenario and links. */
export interface Network {
  /** `A apply request` and `A apply reply`: on the way from site A, and with the answer on the way back. */
  readonly points: PausePoints;
  readonly weather: Readonly<Record<Site, Weather>>;
  /** What has reached the link: each apply with its rows. */
  readonly applies: Record<Site, number>;
  /** A request of any kind sets out. */
  onRequest: ((site: Site, what: string) => void) | undefined;
  /** A request was made worse. */
  onFault: ((site: Site, fault: LinkFault) => void) | undefined;
  /** Rows set out; `ended`: they have been answered, or their request failed. */
  onApply: ((site: Site, rows: readonly Row[], ended: boolean) => void) | undefined;
}

export interface SimLinkOptions {
  readonly site: Site;
  readonly peer: string;
}

interface State {
  readonly self: Self;
  readonly site: Site;
  readonly network: Network;
  readonly peer: Ref<typeof db_store>;
}

const forEver = { timeoutMs: Number.POSITIVE_INFINITY };

export const sim_link = genServer(import.meta.url, "sim_link", {
  deadlines: "own",
  init: ({ site, peer }: SimLinkOptions, self): State => ({
    self,
    site,
    network: self.resource<Network>("network"),
    peer: self.ref(db_store, peer),
  }),

  call: {
    apply: (state, groups: readonly ApplyGroup[], from: From<ApplyResult[][]>) => {
      const { network, site } = state;
      const rows = groups.flatMap((group) => group.rows);
      network.applies[site] = (network.applies[site] ?? 0) + 1;
      network.onApply?.(site, rows, false);
      const ended = (): void => network.onApply?.(site, rows, true);
      return forward(state, from, "apply", { groups, rows }, () => applyBut(state, groups), ended);
    },
    get: (state, keys: readonly RowKey[], from: From<(Row | undefined)[]>) =>
      forward(state, from, "get", { keys }, () => state.peer.call.get(keys, forEver)),
    peek: (state, request: { range: ScanRange; limit: number }, from: From<Row[]>) =>
      forward(state, from, "scan", request, () => state.peer.call.peek(request, forEver)),
    peekEncoded: (state, request: { range: ScanRange; limit: number }, from: From<EncodedRow[]>) =>
      forward(state, from, "scan", request, () => state.peer.call.peekEncoded(request, forEver)),
    fence: (state, request: { scope: Scope; term: number }, from: From<number>) =>
      forward(state, from, "fence", request, () => state.peer.call.fence(request, forEver)),
    fences: (state, scopes: readonly Scope[], from: From<number[]>) =>
      forward(state, from, "fences", scopes, () => state.peer.call.fences(scopes, forEver)),
    collect: (state, request: { key: RowKey; version: Version }, from: From<boolean>) =>
      forward(state, from, "collect", request, () => state.peer.call.collect(request, forEver)),
    identity: (state, _: undefined, from: From<Identity>) =>
      forward(state, from, "identity", undefined, () => state.peer.call.identity(undefined, forEver)),
  },
});

/** Requests overtake each other as on a network: none waits for another's delay. */
function forward<T>(
  state: State,
  from: From<T>,
  what: string,
  details: unknown,
  ask: () => Promise<T>,
  ended: () => void = () => undefined,
) {
  state.network.onRequest?.(state.site, what);
  way(state, what, details, ask)
    .finally(ended)
    .then(
      (value) => state.self.reply(from, value),
      (error) => state.self.replyError(from, toErrorData(error)),
    );
  return noReply;
}

async function way<T>({ self, site, network }: State, what: string, details: unknown, ask: () => Promise<T>) {
  const weather = network.weather[site];
  if (weather === undefined) throw new NanoError("unavailable", `no way from ${site}`);
  const failed = (fault: LinkFault, why: string): NanoError => {
    network.onFault?.(site, fault);
    return new NanoError("unavailable", why);
  };
  if (weather.delayMs > 0) {
    network.onFault?.(site, "link slow");
    await self.sleep(weather.delayMs);
  }
  await network.points.pass(`${site} ${what} request`, details);
  if (weather.down) throw failed("link down", "the remote is down");
  const chance = self.random.next("sim_link.fail");
  if (chance < weather.failShare / 2) throw failed("request lost", "the request was lost");
  const answer = await ask();
  await network.points.pass(`${site} ${what} reply`, details);
  if (chance < weather.failShare) throw failed("answer lost", "the answer was lost");
  return answer;
}

async function applyBut(state: State, groups: readonly ApplyGroup[]): Promise<ApplyResult[][]> {
  // As it is now: what it rejects may change before the others are answered.
  const rejected = new Set(state.network.weather[state.site]?.rejected);
  const accepted = groups.map((group) => ({
    ...group,
    rows: group.rows.filter(({ key }) => !rejected.has(key)),
  }));
  const results = await state.peer.call.apply(accepted, forEver);
  return groups.map(({ rows }, g) => {
    const applied = [...(results[g] ?? [])];
    return rows.map(({ key }): ApplyResult => {
      const result = rejected.has(key) ? undefined : applied.shift();
      if (result === undefined) state.network.onFault?.(state.site, "rejected");
      return result ?? { status: "rejected", code: "poison" };
    });
  });
}
