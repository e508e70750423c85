/**
 * A row's bytes on disk: format, flags, cohort term, shard term, n, expiry, value. Pure.
 * Terms are u32, n and expiry f64 (integers up to 2^53), big-endian. A newer format is refused, not guessed.
 */

import { NanoError } from "../../src/index.ts";
import type { Row, RowKey, Version } from "../records.ts";

const format = 1;
const tombstoneFlag = 1;
const headerBytes = 26;

export function encodeRow({ version, value, expiresAtMs }: Omit<Row, "key">): Uint8Array {
  const bytes = new Uint8Array(headerBytes + (value?.byteLength ?? 0));
  const view = new DataView(bytes.buffer);
  bytes[0] = format;
  bytes[1] = value === null ? tombstoneFlag : 0;
  view.setUint32(2, version[0]);
  view.setUint32(6, version[1]);
  view.setFloat64(10, version[2]);
  view.setFloat64(18, expiresAtMs);
  if (value !== null) bytes.set(value, headerBytes);
  return bytes;
}

/** The value is a part of `bytes`, which the row owns from now on. Errors: `unavailable` for an unknown format. */
export function decodeRow(key: RowKey, bytes: Uint8Array): Row {
  const view = viewOf(bytes, JSON.stringify(key));
  const value = bytes[1] === tombstoneFlag ? null : bytes.subarray(headerBytes);
  return { key, version: readVersion(view), value, expiresAtMs: view.getFloat64(18) };
}

/** Errors: as decodeRow. */
export function decodeVersion(bytes: Uint8Array): Version {
  return readVersion(viewOf(bytes, "to be replaced"));
}

/** True if the stored bytes are exactly this row's. */
export function sameRow(stored: Uint8Array, encoded: Uint8Array): boolean {
  if (stored.byteLength !== encoded.byteLength) return false;
  for (let i = 0; i < stored.byteLength; i++) if (stored[i] !== encoded[i]) return false;
  return true;
}

function viewOf(bytes: Uint8Array, name: string): DataView {
  if (bytes[0] !== format || bytes.byteLength < headerBytes) {
    const text = `a row (${name}) has format ${bytes[0]}; this version reads ${format}`;
    throw new NanoError("unavailable", text);
  }
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readVersion(view: DataView): Version {
  return [view.getUint32(2), view.getUint32(6), view.getFloat64(10)];
}
