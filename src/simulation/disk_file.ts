/**
 * One file of a simulated disk: its bytes as readers see them, and which of them the disk has. Bytes before `durable`
 * survive a crash, except those of a sync that failed: they were taken for clean and never written.
 */

import { assert } from "../base/assert.ts";
import { simulationLimits } from "./limits.ts";

type Draw = (what: string) => number;

export class SimulatedFile {
  readonly entryIsDurable: boolean;
  #bytes = new Uint8Array(256);
  #size = 0;
  #durable = 0;
  /** Stretches before `durable` that never reached the disk. */
  #holes: (readonly [from: number, to: number])[] = [];

  constructor(options: { readonly entryIsDurable: boolean }) {
    this.entryIsDurable = options.entryIsDurable;
  }

  get size(): number {
    return this.#size;
  }

  get durable(): number {
    return this.#durable;
  }

  read(durable: boolean): Uint8Array {
    if (!durable) return this.#bytes.slice(0, this.#size);
    const seen = this.#bytes.slice(0, this.#endWithoutHole(this.#durable));
    for (const [from, to] of this.#holes) seen.fill(0, from, to);
    return seen;
  }

  /** False if only a part fitted. */
  append(bytes: Uint8Array, bytesMax: number): boolean {
    const length = Math.min(bytes.byteLength, bytesMax);
    if (this.#size + length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#bytes.byteLength * 2, this.#size + length));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes.subarray(0, length), this.#size);
    this.#size += length;
    return length === bytes.byteLength;
  }

  sync(upTo: number): void {
    this.#durable = Math.max(this.#durable, Math.min(upTo, this.#size));
  }

  /** What this sync should have written is lost, though it reads as before. */
  failSync(upTo: number): void {
    if (upTo > this.#durable) this.#holes.push([this.#durable, upTo]);
    this.sync(upTo);
  }

  truncate(size: number): void {
    this.#size = Math.min(this.#size, size);
    this.#durable = this.#size;
    this.#holes = this.#holes.filter(([from]) => from < size).map(([from, to]) => [from, Math.min(to, size)]);
  }

  flip(offset: number, bit: number): void {
    assert(offset >= 0 && offset < this.#size, "what rots was written");
    this.#bytes[offset] = (this.#bytes[offset] ?? 0) ^ (1 << bit);
  }

  /** The power is gone: of what was not synced, chance keeps all, nothing, a beginning, or any sectors. */
  crash(draw: Draw): void {
    const unsynced = this.#size - this.#durable;
    if (unsynced > 0) {
      const fate = Math.floor(draw("torn") * 4);
      if (fate === 1) this.#size = this.#durable;
      else if (fate === 2) this.#size = this.#durable + Math.floor(draw("torn") * unsynced);
      else if (fate === 3) this.#keepSectors(draw);
    }
    for (const [from, to] of this.#holes) this.#bytes.fill(0, from, Math.min(to, this.#size));
    // A hole at the end: the file's new length may have reached the disk without the bytes, or not.
    if (draw("torn") < 0.5) this.#size = this.#endWithoutHole(this.#size);
    this.#holes = [];
    this.#durable = this.#size;
  }

  #endWithoutHole(end: number): number {
    const last = this.#holes.at(-1);
    return last !== undefined && last[1] >= end ? Math.min(last[0], end) : end;
  }

  /** Sectors are written in any order: those that were not read as zeros, at the end they are missing. */
  #keepSectors(draw: Draw): void {
    const bytes = simulationLimits.diskSectorBytes;
    let end = this.#durable;
    for (let from = this.#durable; from < this.#size; ) {
      const to = Math.min(this.#size, (Math.floor(from / bytes) + 1) * bytes);
      if (draw("torn") < 0.5) end = to;
      else this.#bytes.fill(0, from, to);
      from = to;
    }
    this.#size = end;
  }
}
