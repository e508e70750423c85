/** msgpackr's extensions beside plain data: large bigints, errors, and views of bytes. */

/** In the order of msgpackr's type codes. */
export const typedArrays = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;

const arrayBufferCode = 16;
const dataViewCode = 17;

/** Makes a bigint of its two's complement, most significant byte first. */
export function readBigint(bytes: Buffer): bigint {
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${bytes.toString("hex")}`));
}

/**
 * Makes the view that `code` names over `buffer`, which it then owns; an unknown class arrives as its
 * bytes.
 */
export function readTypedArray(code: number, buffer: ArrayBuffer): ArrayBuffer | ArrayBufferView {
  if (code === arrayBufferCode) return buffer;
  if (code === dataViewCode) return new DataView(buffer);
  const View = typedArrays[code] ?? Uint8Array;
  return new View(buffer);
}

/** Makes an error of `[name, message, cause, errors?]`. Its class is lost, its stack was never sent. */
export function readError(data: unknown): Error {
  const [name, message, cause] = Array.isArray(data) ? data : [];
  const error = new Error(String(message), cause === undefined ? {} : { cause });
  if (name !== "Error") error.name = String(name);
  return error;
}
