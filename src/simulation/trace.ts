/**
 * What happened, as a hash and as its last lines. Two runs of one seed must have one hash: it covers the time and label
 * of every event and the bytes of every message. Two lanes of FNV-1a with different offsets: 64 bits.
 */

import { crc32c } from "../base/crc32c.ts";
import { simulationLimits } from "./limits.ts";

const prime = 0x01000193;

export class Trace {
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  readonly #lines: string[] = [];
  #next = 0;

  event(atMs: number, label: string): void {
    const line = `${atMs.toFixed(3)} ${label}`;
    this.#mix(line);
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % simulationLimits.traceLinesMax;
  }

  bytes(bytes: Uint8Array): void {
    this.#mixNumber(crc32c(bytes));
    this.#mixNumber(bytes.byteLength);
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    return [this.#high, this.#low].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** The last events, oldest first. */
  lines(): string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
  }

  #mix(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mixNumber(text.charCodeAt(i));
  }

  #mixNumber(value: number): void {
    this.#low = Math.imul(this.#low ^ value, prime);
    this.#high = Math.imul(this.#high ^ (value + 0x9e37), prime);
  }
}
