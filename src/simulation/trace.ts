/**
 * What happened, as a hash and as its last lines. Two runs of one seed must have one hash: it covers the time and label
 * of every event and the bytes of every message. Two lanes of FNV-1a with different offsets: 64 bits.
 */

import { crc32c } from "../base/crc32c.ts";
import type { Columns } from "../wire/columns.ts";
import { simulationLimits } from "./limits.ts";

const prime = 0x01000193;

export class Trace {
  #low = 0x811c9dc5;
  #high = 0x9747b28c;
  readonly #last: { readonly atMs: number; readonly label: string }[] = [];
  #next = 0;
  readonly #linesMax: number;

  /** `linesMax`: how many of the last events `lines` tells. */
  constructor(linesMax: number = simulationLimits.traceLinesMax) {
    this.#linesMax = linesMax;
  }

  event(atMs: number, label: string): void {
    this.#mixNumber(Math.round(atMs * 1_000));
    this.#mix(label);
    this.#last[this.#next] = { atMs, label };
    this.#next = (this.#next + 1) % this.#linesMax;
  }

  columns({ bytes, length, text }: Columns): void {
    this.bytes(bytes.subarray(0, length));
    this.#mix(text);
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
    const inOrder = [...this.#last.slice(this.#next), ...this.#last.slice(0, this.#next)];
    return inOrder.map(({ atMs, label }) => `${atMs.toFixed(3)} ${label}`.trimEnd());
  }

  #mix(text: string): void {
    for (let i = 0; i < text.length; i++) this.#mixNumber(text.charCodeAt(i));
  }

  #mixNumber(value: number): void {
    this.#low = Math.imul(this.#low ^ value, prime);
    this.#high = Math.imul(this.#high ^ (value + 0x9e37), prime);
  }
}
