/**
 * What a prefix still lacks before it may fail over, in words an operator can act on: how much, and ready when. All
 * gates are looked at and all that is missing is listed. Nothing changes by it but that the owners pass a barrier.
 */

import { NanoError, type Self, toErrorData } from "../src/index.ts";
import { authorityOf, type ControlStore, controlKeys, type DecisionRecord } from "./control_store.ts";
import { oldestComparison } from "./coverage.ts";
import { isOpen, readCohort, readDecisions } from "./decisions.ts";
import { dataLimits } from "./limits.ts";
import { mirrorGate } from "./mirror_staleness.ts";
import { predictReadOnly, type ShardLoad } from "./read_only_prediction.ts";
import { type CohortId, type DirtyRange, type Site, splitRowKey } from "./records.ts";
import type { SiteOptions, SiteShards } from "./site_shards.ts";

export type GateName =
  | "plan"
  | "authority"
  | "decision"
  | "comparison"
  | "ranges"
  | "perror"
  | "mirror"
  | "dirty"
  | "lost"
  | "shards";

export interface MissingGate {
  readonly gate: GateName;
  /** E.g. `+49: 312 dirty keys, ready in about 4 s`. */
  readonly text: string;
  /** When it opens by itself, ms from now; undefined if that is not known or somebody has to act. */
  readonly readyInMs?: number;
}

export interface Gates {
  readonly prefix: string;
  readonly from: Site;
  readonly to: Site;
  /** Empty: the prefix may move now. */
  readonly missing: readonly MissingGate[];
  /** Keys that differ or may differ and are on their way, db_perror's not counted. */
  readonly dirty: number;
  /** How long it would be read-only if it moved now, ms; Infinity while what is dirty is not sent. */
  readonly predictedReadOnlyMs: number;
}

/** What is to be moved, and how long it may take no writes. */
export interface GatedMove {
  readonly prefix: string;
  readonly cohorts: readonly CohortId[];
  readonly from: Site;
  readonly to: Site;
  /** Default: `dataLimits.readOnlyMsMax`, which it can't exceed. */
  readonly readOnlyMsMax?: number;
}

export interface GateKeeper {
  readonly self: Self;
  readonly control: ControlStore;
  readonly shards: SiteShards;
  readonly options: SiteOptions;
}

export function readOnlyBoundMs({ readOnlyMsMax }: Pick<GatedMove, "readOnlyMsMax">): number {
  return Math.min(readOnlyMsMax ?? dataLimits.readOnlyMsMax, dataLimits.readOnlyMsMax);
}

/** Errors: `unavailable` when control can't be read. */
export async function readGates(keeper: GateKeeper, move: GatedMove): Promise<Gates> {
  const { control } = keeper;
  const decisions = await readDecisions(control);
  const missing: MissingGate[] = [
    ...(await planGates(control, move, decisions)),
    ...decisionGates(keeper, move, decisions),
    ...(await comparisonGates(keeper, move)),
    ...(await mirrorGates(control, move)),
  ];
  let dirty = 0;
  let predictedReadOnlyMs = Number.POSITIVE_INFINITY;
  try {
    missing.push(...rangeGates(move, await keeper.shards.ranges(move.from, move.cohorts)));
    const loads = await keeper.shards.loads(move.from, move.cohorts);
    dirty = sumOf(loads, (load) => load.dirty);
    predictedReadOnlyMs = await predictNow(keeper, move, loads);
    missing.push(...perrorGates(move, loads), ...dirtyGates(move, loads, predictedReadOnlyMs));
  } catch (error) {
    const { code, message } = toErrorData(error);
    if (code === "lost") missing.push({ gate: "lost", text: `${move.prefix}: ${message}` });
    else
      missing.push({ gate: "shards", text: `${move.prefix}: a shard does not answer (${code}): ${message}` });
  }
  const { prefix, from, to } = move;
  return { prefix, from, to, missing, dirty, predictedReadOnlyMs };
}

/** Errors: `conflict` with the text of all that is missing; `lost` if a store is, for no wait opens that gate. */
export function refuseUnready({ missing }: Gates): void {
  if (missing.length === 0) return;
  const text = missing.map((each) => each.text).join("; ");
  const code = missing.some(({ gate }) => gate === "lost") ? "lost" : "conflict";
  throw new NanoError(code, text, { gates: missing.map(({ gate }) => gate) });
}

/** Each barrier is passed for it: what a real move would wait for. Of what verify will find nothing is known yet. */
async function predictNow(
  { self, shards, control, options }: GateKeeper,
  { from, to }: GatedMove,
  loads: readonly ShardLoad[],
): Promise<number> {
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const startedAtMs = self.clock.monotonicMs();
    await work();
    return self.clock.monotonicMs() - startedAtMs;
  };
  const limits = { timeoutMs: dataLimits.gateTimeoutMs };
  const barrierMs = {
    from: await timed(() => shards.refresh(from, limits)),
    to: await timed(() => shards.refresh(to, limits)),
  };
  const messageMs = await timed(() => shards.counts(from));
  const controlMs = await timed(() => control.get(controlKeys.coverage(0)));
  const measured = { loads, verifyMs: 0, barrierMs, messageMs, controlMs, sending: options.sending };
  return predictReadOnly(measured).readOnlyMs;
}

/** An abort gives the cohorts to the site that the decision is from: it must be the one that serves them. */
async function planGates(
  control: ControlStore,
  { prefix, cohorts, from }: GatedMove,
  decisions: readonly DecisionRecord[],
): Promise<MissingGate[]> {
  const missing: MissingGate[] = [];
  const dormant: string[] = [];
  const elsewhere = new Map<Site, CohortId[]>();
  for (const id of cohorts) {
    const cohort = await readCohort(control, id);
    if (cohort === undefined) {
      missing.push({ gate: "plan", text: `${prefix}: ${id} is no cohort in control; run plan again` });
      continue;
    }
    if (cohort.phase !== "live") dormant.push(`${id} is ${cohort.phase}`);
    const { site } = authorityOf(cohort, decisions);
    if (site !== from) elsewhere.set(site, [...(elsewhere.get(site) ?? []), id]);
  }
  if (dormant.length > 0) {
    const text = `${prefix}: no marks are made for ${cohorts.length} cohorts (${some(dormant)}); run the migration`;
    missing.push({ gate: "plan", text });
  }
  for (const [site, ids] of elsewhere) {
    missing.push({ gate: "authority", text: `${prefix}: ${site} serves it, not ${from} (${some(ids)})` });
  }
  return missing;
}

function decisionGates(
  { self }: GateKeeper,
  { prefix, cohorts }: GatedMove,
  decisions: readonly DecisionRecord[],
): MissingGate[] {
  const open = decisions.filter(
    ({ state, cohorts: held }) => isOpen(state) && held.some((id) => cohorts.includes(id)),
  );
  return open.map(({ id, owner, state, leaseUntilMs }) => {
    const leftMs = leaseUntilMs - self.clock.now();
    const lease =
      leftMs > 0 ? `its lease ends in ${inWords(leftMs)} unless it is renewed` : "its lease has ended";
    return { gate: "decision", text: `${prefix}: decision ${id} of ${owner} is ${state}; ${lease}` };
  });
}

async function comparisonGates(
  { self, control, options }: GateKeeper,
  { prefix, cohorts }: GatedMove,
): Promise<MissingGate[]> {
  const oldest = await oldestComparison(control, options.shards, cohorts);
  if (oldest === undefined) {
    return [{ gate: "comparison", text: `${prefix}: the sides were never compared; run the migration` }];
  }
  const ageMs = self.clock.now() - oldest;
  if (ageMs <= dataLimits.comparisonAgeMsMax) return [];
  const most = inWords(dataLimits.comparisonAgeMsMax);
  const text = `${prefix}: the last comparison is ${inWords(ageMs)} old, at most ${most}; compare again`;
  return [{ gate: "comparison", text }];
}

async function mirrorGates(control: ControlStore, { prefix, from }: GatedMove): Promise<MissingGate[]> {
  const stale = await mirrorGate(control, from);
  return stale === "" ? [] : [{ gate: "mirror", text: `${prefix}: ${stale}` }];
}

function rangeGates(
  { prefix }: GatedMove,
  ranges: readonly { readonly shard: number; readonly range: DirtyRange }[],
): MissingGate[] {
  if (ranges.length === 0) return [];
  const places = ranges.map(({ shard, range }) => `${range.reason} in shard ${shard} ${progressOf(range)}`);
  const text = `${prefix}: ${count(ranges.length, "range")} still copied or repaired: ${some(places)}`;
  return [{ gate: "ranges", text }];
}

/** Errors: `conflict` when some of the cohorts' rows are in a range, as a gate would say it. */
export function refuseRanges(move: GatedMove, ranges: Parameters<typeof rangeGates>[1]): void {
  const [missing] = rangeGates(move, ranges);
  if (missing !== undefined) throw new NanoError("conflict", missing.text);
}

/** How far it is: the key up to which every row is confirmed. */
function progressOf({ cursor, from }: DirtyRange): string {
  if (cursor === from) return "not begun";
  const { backend, key } = splitRowKey(cursor);
  return `done up to ${backend} ${key}`;
}

function perrorGates({ prefix }: GatedMove, loads: readonly ShardLoad[]): MissingGate[] {
  const perror = sumOf(loads, (load) => load.perror);
  const most = dataLimits.perrorPerMoveMax;
  if (perror <= most) return [];
  const text = `${prefix}: ${count(perror, "key")} in db_perror, at most ${most} may be; retry or resolve them`;
  return [{ gate: "perror", text }];
}

function dirtyGates(move: GatedMove, loads: readonly ShardLoad[], predictedMs: number): MissingGate[] {
  const boundMs = readOnlyBoundMs(move);
  if (predictedMs <= boundMs) return [];
  const { prefix } = move;
  const dirty = sumOf(loads, (load) => load.dirty);
  const keys = count(dirty, "dirty key");
  const unanswered = loads.filter((load) => load.dirty > 0 && !load.remoteAnswers);
  if (unanswered.length > 0) {
    const shards = unanswered.map(({ shard }) => shard).join(", ");
    return [{ gate: "dirty", text: `${prefix}: ${keys}, and the remote of shard ${shards} does not answer` }];
  }
  if (predictedMs === Number.POSITIVE_INFINITY) {
    return [{ gate: "dirty", text: `${prefix}: ${keys}, and repairs are stopped (their rate is 0)` }];
  }
  const readyInMs = predictedMs - boundMs;
  const parked = sumOf(loads, (load) => load.parked);
  const waiting = parked > 0 ? `, ${parked} of all keys wait out a backoff` : "";
  const why = `it would be read-only for ${inWords(predictedMs)}, at most ${inWords(boundMs)}`;
  const text = `${prefix}: ${keys}, ready in about ${inWords(readyInMs)}${waiting} (${why})`;
  return [{ gate: "dirty", text, readyInMs }];
}

function sumOf(loads: readonly ShardLoad[], of: (load: ShardLoad) => number): number {
  return loads.reduce((sum, load) => sum + of(load), 0);
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

const shownMax = 3;

function some(all: readonly string[]): string {
  const shown = all.slice(0, shownMax).join(", ");
  return all.length > shownMax ? `${shown} and ${all.length - shownMax} more` : shown;
}

/** A time as somebody would say it. */
export function inWords(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.ceil(ms))} ms`;
  if (ms < 120_000) return `${Math.ceil(ms / 1_000)} s`;
  if (ms < 2 * 60 * 60 * 1_000) return `${Math.ceil(ms / 60_000)} min`;
  return `${Math.floor(ms / (60 * 60 * 1_000))} h`;
}
