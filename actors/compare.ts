/**
 * compare: what two sides' rows of one key mean to each other. Pure; db_compare and db_crawler act on it.
 *
 * Values are compared as bytes. That is canonical because no value is ever encoded again on its way: a kind encodes a
 * row once, at admission, and every copy of it is of those bytes. So a difference that an encoding could hide (null and
 * "null", field order, Unicode normal forms) is one here, and none is made up. Only two things are not bytes: the
 * expiry, of which -0 is 0 and NaN equals itself, and absence, which a tombstone and an expired row equal.
 * Versions are not compared: a row shows the same under any.
 */

import { compareKeys, compareVersions, type Row, type RowKey, type Version } from "./records.ts";

/**
 * `equal`: both show the same. `send`: the local row is newer, or the peer has none. `amend`: versions alone can't
 * bring the peer to the local state: it has a row that is absent here, a newer one, or other bytes at one version.
 */
export type Verdict = "equal" | "send" | "amend";

/** `nowMs` decides what has expired; a tombstone and an expired row equal absence. */
export function compareRows(local: Row | undefined, peer: Row | undefined, nowMs: number): Verdict {
  const localShown = shown(local, nowMs);
  const peerShown = shown(peer, nowMs);
  if (localShown === undefined && peerShown === undefined) return "equal";
  if (localShown !== undefined && peerShown !== undefined && sameContent(localShown, peerShown))
    return "equal";
  if (local === undefined) return "amend";
  if (peer === undefined) return "send";
  return compareVersions(local.version, peer.version) > 0 ? "send" : "amend";
}

/** What is kept of two rows until they are looked at again: no values, whatever their size. */
export type Stamp = readonly [local: Version | undefined, peer: Version | undefined];

export function stampOf({ local, peer }: Pick<Pair, "local" | "peer">): Stamp {
  return [local?.version, peer?.version];
}

/** True if neither side moved between two readings. */
export function stoodStill(before: Stamp, after: Stamp): boolean {
  return before.every((version, i) => {
    const later = after[i];
    if (version === undefined || later === undefined) return version === later;
    return compareVersions(version, later) === 0;
  });
}

interface Keyed {
  readonly key: RowKey;
}

export interface Pair {
  readonly key: RowKey;
  readonly local: Row | undefined;
  readonly peer: Row | undefined;
}

/** Visits every key of either list once, in key order; both lists are in it. */
export function walkPairs<R extends Keyed>(
  local: readonly R[],
  peer: readonly R[],
  visit: (key: RowKey, local: R | undefined, peer: R | undefined) => void,
): void {
  let i = 0;
  let j = 0;
  while (i < local.length || j < peer.length) {
    const mine = local[i];
    const theirs = peer[j];
    const order = orderOf(mine, theirs);
    if (order <= 0) i++;
    if (order >= 0) j++;
    const key = (order <= 0 ? mine : theirs)?.key ?? "";
    visit(key, order <= 0 ? mine : undefined, order >= 0 ? theirs : undefined);
  }
}

/** As walkPairs, in a list. */
export function mergeRows(local: readonly Row[], peer: readonly Row[]): Pair[] {
  const pairs: Pair[] = [];
  walkPairs(local, peer, (key, mine, theirs) => pairs.push({ key, local: mine, peer: theirs }));
  return pairs;
}

/** Nearly all keys stand on both sides: equal texts are found out natively. */
function orderOf(mine: Keyed | undefined, theirs: Keyed | undefined): number {
  if (mine === undefined) return 1;
  if (theirs === undefined) return -1;
  return mine.key === theirs.key ? 0 : compareKeys(mine.key, theirs.key);
}

function shown(row: Row | undefined, nowMs: number): Row | undefined {
  if (row === undefined || row.value === null) return undefined;
  return row.expiresAtMs > 0 && row.expiresAtMs <= nowMs ? undefined : row;
}

function sameContent(a: Row, b: Row): boolean {
  if (!sameNumber(a.expiresAtMs, b.expiresAtMs) || a.value === null || b.value === null) return false;
  if (a.value.byteLength !== b.value.byteLength) return false;
  for (let i = 0; i < a.value.byteLength; i++) if (a.value[i] !== b.value[i]) return false;
  return true;
}

/** A damaged expiry is NaN on both sides: it would differ from itself for ever. */
function sameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}
