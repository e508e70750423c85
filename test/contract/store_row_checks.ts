/** The store contract's checks of what is written and read; see store_checks.ts. */

import { expect } from "vitest";
import type { Row, RowKey, Version } from "../../actors/records.ts";
import { storeLimits } from "../../actors/stores/apply_row.ts";
import {
  a,
  applied,
  b,
  bytes,
  type Check,
  c,
  keyOf,
  keysIn,
  put,
  read,
  row,
  same,
  stale,
} from "./store_rows.ts";

export const rowChecks: Readonly<Record<string, Check>> = {
  "a row comes back as it was written": async (place) => {
    const store = await place.open();
    const largest = 2 ** 32 - 1;
    const written = [
      row(a, [largest, largest, Number.MAX_SAFE_INTEGER], "größer", 4_102_444_800_123),
      row(b, [0, 1, 2], null),
    ];
    await put(store, ...written);
    expect(await store.get([b, c, a, b])).toEqual([written[1], undefined, written[0], written[1]]);
  },

  "an absent row is older than version zero": async (place) => {
    const store = await place.open();
    expect(await put(store, row(a, [0, 0, 0]))).toEqual([applied]);
    expect(await put(store, row(a, [0, 0, 0]))).toEqual([same]);
  },

  "a newer version wins, and the parts of a version count from left to right": async (place) => {
    const store = await place.open();
    const rising: Version[] = [
      [0, 0, 1],
      [0, 0, 2],
      [0, 1, 0],
      [1, 0, 0],
      [1, 0, 9],
      [1, 1, 1],
      [2, 0, 0],
    ];
    for (const version of rising) expect(await put(store, row(a, version))).toEqual([applied]);
    expect((await read(store, a))?.version).toEqual([2, 0, 0]);
  },

  "an older version is stale, tells the stored one, and changes nothing": async (place) => {
    const store = await place.open();
    await put(store, row(a, [2, 2, 2], "new"));
    for (const version of [
      [2, 2, 1],
      [2, 1, 9],
      [1, 9, 9],
    ] as const) {
      expect(await put(store, row(a, version, "old"))).toEqual([stale([2, 2, 2])]);
    }
    expect(await read(store, a)).toEqual(row(a, [2, 2, 2], "new"));
  },

  "one version and the same bytes is the same row": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 1], "x", 5), row(b, [1, 1, 1], null));
    expect(await put(store, row(a, [1, 1, 1], "x", 5), row(b, [1, 1, 1], null))).toEqual([same, same]);
  },

  "one version and other bytes is stale with an equal version": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 1], "x"), row(b, [1, 1, 1], null));
    const others = [row(a, [1, 1, 1], "y"), row(a, [1, 1, 1], "x", 5), row(a, [1, 1, 1], null)];
    expect(await put(store, ...others, row(b, [1, 1, 1], ""))).toEqual(
      Array.from({ length: 4 }, () => stale([1, 1, 1])),
    );
    expect(await store.get([a, b])).toEqual([row(a, [1, 1, 1], "x"), row(b, [1, 1, 1], null)]);
  },

  "a tombstone stands against an older row, and an empty value is no tombstone": async (place) => {
    const store = await place.open();
    await put(store, row(a, [1, 1, 2], null), row(b, [1, 1, 1], ""));
    expect(await put(store, row(a, [1, 1, 1], "back"))).toEqual([stale([1, 1, 2])]);
    expect((await read(store, a))?.value).toBeNull();
    expect((await read(store, b))?.value).toEqual(new Uint8Array(0));
  },

  "one row's result never depends on another row's": async (place) => {
    const store = await place.open();
    await put(store, row(b, [1, 1, 5]), row(c, [1, 1, 1]));
    const tooLong = row(keyOf("x".repeat(storeLimits.keyBytesMax)), [1, 1, 1]);
    const results = await put(store, row(b, [1, 1, 4]), tooLong, row(a, [1, 1, 1]), row(c, [1, 1, 1]));
    expect(results).toEqual([stale([1, 1, 5]), { status: "rejected", code: "key_too_long" }, applied, same]);
    expect((await read(store, a))?.version).toEqual([1, 1, 1]);
  },

  "a key twice in one apply is judged by its earlier row, in one group and across groups": async (place) => {
    const store = await place.open();
    const results = await store.apply([
      { grants: [], rows: [row(a, [1, 1, 2], "two"), row(a, [1, 1, 1], "one"), row(a, [1, 1, 3], "three")] },
      { grants: [], rows: [row(a, [1, 1, 3], "three"), row(a, [1, 1, 3], "other")] },
    ]);
    expect(results).toEqual([
      [applied, stale([1, 1, 2]), applied],
      [same, stale([1, 1, 3])],
    ]);
    expect(await read(store, a)).toEqual(row(a, [1, 1, 3], "three"));
  },

  "a key over the limit is rejected whatever its characters, one at the limit is not": async (place) => {
    const store = await place.open();
    const room = storeLimits.keyBytesMax - bytes(keyOf("")).byteLength;
    const most = [
      keyOf("x".repeat(room)),
      keyOf("é".repeat(room >> 1)),
      keyOf("\u{1f511}".repeat(room >> 2)),
    ];
    const over = [
      keyOf("x".repeat(room + 1)),
      keyOf(`${"é".repeat((room >> 1) - 1)}\u{1f511}`),
      keyOf("€".repeat(room)),
    ];
    const code = "key_too_long";
    expect(await put(store, ...most.map((key) => row(key, [1, 1, 1])))).toEqual([applied, applied, applied]);
    for (const [index, result] of (await put(store, ...over.map((key) => row(key, [1, 1, 1])))).entries()) {
      expect({ index, result }).toEqual({ index, result: { status: "rejected", code } });
    }
    expect(await store.get(over)).toEqual([undefined, undefined, undefined]);
    expect((await keysIn(store, "", "")).sort()).toEqual([...most].sort());
  },

  "a key with half a surrogate pair is rejected: as bytes it would be another's": async (place) => {
    const store = await place.open();
    const halves = [keyOf("\ud83d"), keyOf("\ude00x"), keyOf("x\ude00\ud83d")];
    const results = await put(store, ...halves.map((key) => row(key, [1, 1, 1])));
    expect(results).toEqual(halves.map(() => ({ status: "rejected", code: "key_malformed" })));
    expect(await keysIn(store, "", "")).toEqual([]);
  },

  "a value over the limit is rejected and leaves the row as it was, one at the limit is not": async (
    place,
  ) => {
    const store = await place.open();
    const headerBytes = 26;
    const value = new Uint8Array(storeLimits.valueBytesMax - headerBytes + 1);
    await put(store, row(b, [1, 1, 1]));
    const large = (key: RowKey, version: Version, size: number): Row => ({
      ...row(key, version),
      value: value.subarray(0, size),
    });
    expect(await put(store, large(a, [1, 1, 1], value.byteLength - 1))).toEqual([applied]);
    expect(await put(store, large(b, [1, 1, 2], value.byteLength))).toEqual([
      { status: "rejected", code: "value_too_long" },
    ]);
    expect((await store.get([a]))[0]?.value?.byteLength).toBe(value.byteLength - 1);
    expect(await read(store, b)).toEqual(row(b, [1, 1, 1]));
  },

  "a row that was read belongs to its reader": async (place) => {
    const store = await place.open();
    const names = Array.from({ length: 20 }, (_, i) => keyOf(`k${i}`));
    await put(store, ...names.map((key) => row(key, [1, 1, 1], `first ${key}`)));
    const got = await store.get(names);
    const scanned = await store.scan({ from: keyOf("k"), to: "" }, 100);
    await put(store, ...names.map((key) => row(key, [1, 1, 2], `other ${key}`)));
    await store.scan({ from: "", to: "" }, 100);
    await store.get(names);
    for (const each of [...got, ...scanned]) expect(each?.value).toEqual(bytes(`first ${each?.key}`));
    for (const each of await store.scan({ from: "", to: "" }, 100)) each.value?.fill(0);
    for (const each of await store.get(names)) each?.value?.fill(0);
    for (const each of await store.get(names)) expect(each?.value).toEqual(bytes(`other ${each?.key}`));
  },
};
