/**
 * How a one-time key lies in a store: free is a 0 byte and the key's bytes; taken is a 1 byte, the request id
 * (length as u16, UTF-8), when it was taken (float64, ms since 1970) and the key's bytes. All big-endian.
 */

export type OneTimeRow =
  | { readonly taken: false; readonly bytes: Uint8Array }
  | {
      readonly taken: true;
      readonly requestId: string;
      readonly takenAtMs: number;
      readonly bytes: Uint8Array;
    };

const freeByte = 0;
const takenByte = 1;

/** A free key's row. */
export function encodeFreeKey(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(freeByte), bytes]);
}

/** A taken key's row. */
export function encodeTakenKey(requestId: string, takenAtMs: number, bytes: Uint8Array): Buffer {
  const id = Buffer.from(requestId, "utf8");
  const head = Buffer.alloc(3);
  head.writeUInt8(takenByte, 0);
  head.writeUInt16BE(id.length, 1);
  const time = Buffer.alloc(8);
  time.writeDoubleBE(takenAtMs);
  return Buffer.concat([head, id, time, bytes]);
}

/** Reads a row's value; undefined if it is neither form. */
export function decodeOneTimeRow(value: Uint8Array): OneTimeRow | undefined {
  const row = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (row.length >= 1 && row[0] === freeByte) return { taken: false, bytes: row.subarray(1) };
  if (row.length < 3 || row[0] !== takenByte) return undefined;
  const timeAt = 3 + row.readUInt16BE(1);
  if (row.length < timeAt + 8) return undefined;
  return {
    taken: true,
    requestId: row.toString("utf8", 3, timeAt),
    takenAtMs: row.readDoubleBE(timeAt),
    bytes: row.subarray(timeAt + 8),
  };
}
