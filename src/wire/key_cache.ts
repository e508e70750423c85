/**
 * Turns the bytes of a key into a string without making the same string again and again.
 *
 * A property is set several times faster by a string that the engine has seen as a key before, and most
 * keys of a protocol recur. State: one string for each of 512 slots; a collision only costs the gain. What
 * is returned depends on the bytes alone.
 */

const slots = 512;
/** Longer keys are data, not names. */
const lengthMax = 32;

export class KeyCache {
  readonly #strings: (string | undefined)[] = new Array(slots).fill(undefined);

  /** The string that `bytes[start..end)` spell, if they are ASCII and not many; otherwise undefined. */
  read(bytes: Buffer, start: number, end: number): string | undefined {
    const length = end - start;
    if (length === 0 || length > lengthMax) return undefined;
    const first = bytes[start] as number;
    const last = bytes[end - 1] as number;
    const middle = bytes[start + (length >> 1)] as number;
    const slot = (length + first * 31 + middle * 67 + last * 131) % slots;
    const known = this.#strings[slot];
    if (known !== undefined && known.length === length && spells(known, bytes, start)) return known;
    for (let index = start; index < end; index++) {
      if ((bytes[index] as number) >= 0x80) return undefined;
    }
    const text = bytes.toString("latin1", start, end);
    this.#strings[slot] = text;
    return text;
  }
}

/** Every string kept is ASCII: one unit is one byte. */
function spells(text: string, bytes: Buffer, start: number): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) !== bytes[start + index]) return false;
  }
  return true;
}
