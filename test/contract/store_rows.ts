/** What the checks of the store contract have in common: the rows that they write, and short ways to write and read. */

import { expect } from "vitest";
import { type Row, type RowKey, rowKey, type Version } from "../../actors/records.ts";
import type { ApplyResult } from "../../actors/store_messages.ts";
import type { Store } from "../../actors/stores/contract.ts";

/** Where one store lives. Opening it again opens what it left behind; the caller closes it before. */
export interface StorePlace {
  /** Default: `groups` is indexed. */
  open(options?: { readonly indexedBackends: readonly string[] }): Promise<Store>;
}

export type Check = (place: StorePlace) => Promise<void>;

export const indexedBackend = "groups";
export const site = "A/1";
export const cohort = "groups/+49";

/** A Buffer is as good as a Uint8Array. */
expect.addEqualityTesters([
  (x: unknown, y: unknown) =>
    x instanceof Uint8Array && y instanceof Uint8Array ? Buffer.compare(x, y) === 0 : undefined,
]);

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function row(key: RowKey, version: Version, value: string | null = "value", expiresAtMs = 0): Row {
  return { key, version, value: value === null ? null : bytes(value), expiresAtMs };
}

export const keyOf = (name: string): RowKey => rowKey("things", name);
export const a = keyOf("a");
export const b = keyOf("b");
export const c = keyOf("c");

export const applied: ApplyResult = { status: "applied" };
export const same: ApplyResult = { status: "same" };
export const stale = (current: Version): ApplyResult => ({ status: "stale", current });

/** One group without grants: results of its rows. */
export async function put(store: Store, ...rows: Row[]): Promise<ApplyResult[]> {
  const [results] = await store.apply([{ grants: [], rows }]);
  return results ?? [];
}

export async function read(store: Store, key: RowKey): Promise<Row | undefined> {
  return (await store.get([key]))[0];
}

export async function keysIn(store: Store, from: RowKey, to: RowKey, limit = 1_000): Promise<RowKey[]> {
  return (await store.scan({ from, to }, limit)).map(({ key }) => key);
}
