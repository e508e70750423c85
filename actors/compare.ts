/** compare: what two sides' rows of one key mean to each other. Pure; db_compare and db_crawler act on it. */

import { compareKeys, compareVersions, type Row, type RowKey } from "./records.ts";

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

/** True if neither side moved between two readings. */
export function stoodStill(
  before: readonly (Row | undefined)[],
  after: readonly (Row | undefined)[],
): boolean {
  return before.every((row, i) => {
    const later = after[i];
    if (row === undefined || later === undefined) return row === later;
    return compareVersions(row.version, later.version) === 0;
  });
}

export interface Pair {
  readonly key: RowKey;
  readonly local: Row | undefined;
  readonly peer: Row | undefined;
}

/** Both lists are in key order. Every key of either, once, in key order. */
export function mergeRows(local: readonly Row[], peer: readonly Row[]): Pair[] {
  const pairs: Pair[] = [];
  let i = 0;
  let j = 0;
  while (i < local.length || j < peer.length) {
    const mine = local[i];
    const theirs = peer[j];
    const order = mine === undefined ? 1 : theirs === undefined ? -1 : compareKeys(mine.key, theirs.key);
    if (order < 0 && mine !== undefined) {
      pairs.push({ key: mine.key, local: mine, peer: undefined });
      i++;
    } else if (order > 0 && theirs !== undefined) {
      pairs.push({ key: theirs.key, local: undefined, peer: theirs });
      j++;
    } else if (mine !== undefined) {
      pairs.push({ key: mine.key, local: mine, peer: theirs });
      i++;
      j++;
    }
  }
  return pairs;
}

function shown(row: Row | undefined, nowMs: number): Row | undefined {
  if (row === undefined || row.value === null) return undefined;
  return row.expiresAtMs > 0 && row.expiresAtMs <= nowMs ? undefined : row;
}

function sameContent(a: Row, b: Row): boolean {
  if (a.expiresAtMs !== b.expiresAtMs || a.value === null || b.value === null) return false;
  if (a.value.byteLength !== b.value.byteLength) return false;
  for (let i = 0; i < a.value.byteLength; i++) if (a.value[i] !== b.value[i]) return false;
  return true;
}
