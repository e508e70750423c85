/**
 * The comparator is wrong. A table of pairs that a wrong one confuses, with wrong ones as twins; and one of the pairs
 * as a play, in which the peer's bytes differ in a way that only a comparison of bytes sees.
 */

import { describe, expect, it } from "vitest";
import { compareRows } from "../../../actors/compare.ts";
import type { Row } from "../../../actors/records.ts";
import { encodeRow } from "../../../actors/stores/row_codec.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import type { World } from "../../../src/simulation/index.ts";
import { lenient_compare } from "./compare_twins.ts";
import { compared, retry } from "./comparing.ts";
import { type EncodedPair, encodedPairs, nowMs } from "./encodings.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { corrupt } from "./rogue.ts";

function saysEqual({ local, peer }: EncodedPair): boolean {
  return compareRows(local, peer, nowMs) === "equal";
}

describe("hazard 26: the comparator's idea of equality", () => {
  for (const pair of encodedPairs) {
    it(`${pair.equal ? "equal" : "unequal"}: ${pair.what}`, () => {
      expect(saysEqual(pair)).toBe(pair.equal);
      expect(saysEqual({ ...pair, local: pair.peer, peer: pair.local })).toBe(pair.equal);
    });
  }
});

it("hazard 26: what two sides show under one version is equal exactly if a store holds the same bytes", () => {
  const shown = encodedPairs.filter(({ local, peer }) => isShown(local) && isShown(peer));
  expect(shown.length).toBeGreaterThan(30);
  for (const { what, local, peer, equal } of shown) {
    if (local === undefined || peer === undefined) continue;
    const bytes = [local, peer].map((row) => encodeRow({ ...row, version: local.version }));
    expect(sameBytes(bytes[0] ?? quiet, bytes[1] ?? quiet), what).toBe(equal);
  }
});

const quiet = new Uint8Array();
const key = "+4917026";

hazard({
  number: 26,
  title: "a value in another normal form at the peer is reported by a comparison and repaired by a retry",
  play: async (sites: TwoSites, world: World) => {
    await sites.copied();
    await sites.write(key, "caf\u00e9");
    await sites.settled();
    corrupt(sites, "B", key, "cafe\u0301");
    const found = await compared(sites);
    const wrong = found.join() === rowOf(key) ? [] : [`reported: ${JSON.stringify(found)}`];
    await retry(sites, [rowOf(key)]);
    await world.sleep(100);
    return judge(sites, [], wrong);
  },
  twin: { name: "a comparison of texts in one normal form", replaced: { db_compare: lenient_compare } },
});

type Comparator = (local: Row | undefined, peer: Row | undefined) => boolean;

function isShown(row: Row | undefined): row is Row & { readonly value: Uint8Array } {
  if (row === undefined || row.value === null) return false;
  return row.expiresAtMs <= 0 || row.expiresAtMs > nowMs || Number.isNaN(row.expiresAtMs);
}

/** Right about absence and expiry; `same` is its idea of values. */
function byValue(same: (local: Uint8Array, peer: Uint8Array) => boolean): Comparator {
  return (local, peer) => {
    if (!isShown(local) || !isShown(peer)) return isShown(local) === isShown(peer);
    return Object.is(local.expiresAtMs + 0, peer.expiresAtMs + 0) && same(local.value, peer.value);
  };
}

function byText(same: (local: string, peer: string) => boolean): Comparator {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return byValue((local, peer) => same(text(local), text(peer)));
}

function sameBytes(local: Uint8Array, peer: Uint8Array): boolean {
  return Buffer.compare(local, peer) === 0;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const wrongOnes: Readonly<Record<string, Comparator>> = {
  "texts, decoded": byText((local, peer) => local === peer),
  "texts in one normal form": byText((local, peer) => local.normalize() === peer.normalize()),
  "texts without their case": byText((local, peer) => local.toLowerCase() === peer.toLowerCase()),
  "trimmed texts": byText((local, peer) => local.trim() === peer.trim()),
  "parsed JSON": byText((local, peer) => expectEqual(parsed(local), parsed(peer))),
  numbers: byText((local, peer) => Number(local) === Number(peer) || local === peer),
  dates: byText((local, peer) => Date.parse(local) === Date.parse(peer) || local === peer),
  "lengths only": byValue((local, peer) => local.byteLength === peer.byteLength),
  "as many bytes as both have": byValue((local, peer) => {
    const length = Math.min(local.byteLength, peer.byteLength);
    return sameBytes(local.subarray(0, length), peer.subarray(0, length));
  }),
  "the first 4,096 bytes": byValue((local, peer) =>
    sameBytes(local.subarray(0, 4_096), peer.subarray(0, 4_096)),
  ),
  "versions only": (local, peer) => String(local?.version) === String(peer?.version),
  "no expiry": (local, peer) => {
    if (!isShown(local) || !isShown(peer)) return isShown(local) === isShown(peer);
    return sameBytes(local.value, peer.value);
  },
  "every expiry by ===": (local, peer) => {
    if (!isShown(local) || !isShown(peer)) return isShown(local) === isShown(peer);
    return local.expiresAtMs === peer.expiresAtMs && sameBytes(local.value, peer.value);
  },
  "tombstones as rows": (local, peer) => {
    if (local === undefined || peer === undefined) return local === peer;
    return sameBytes(local.value ?? new Uint8Array(), peer.value ?? new Uint8Array());
  },
  "an empty value as none": (local, peer) => {
    const bytes = (row: Row | undefined): Uint8Array => (isShown(row) ? row.value : new Uint8Array());
    return sameBytes(bytes(local), bytes(peer));
  },
};

function expectEqual(local: unknown, peer: unknown): boolean {
  try {
    expect(local).toEqual(peer);
    return true;
  } catch {
    return false;
  }
}

for (const [name, comparator] of Object.entries(wrongOnes)) {
  it(`twin of hazard 26: the table catches a comparator of ${name}`, () => {
    const caught = encodedPairs.filter(({ local, peer, equal }) => comparator(local, peer) !== equal);
    expect(caught).not.toEqual([]);
  });
}
