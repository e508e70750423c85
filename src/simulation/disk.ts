/**
 * A simulated disk behind the Disk seam. What was appended is readable at once; it survives `crash` only as far as it
 * was synced: of the rest, chance keeps all, nothing, or a part that may end inside a record. Syncs can be made to
 * fail and the disk to be full.
 *
 * Always true: what an append to a `synced` file, or a `sync`, has acknowledged survives every crash.
 */

import { assert } from "../base/assert.ts";
import { NanoError } from "../base/errors.ts";
import type { SeededStreams } from "../base/seeded_streams.ts";
import type { AppendFile, Disk } from "../seams/disk.ts";
import { simulationLimits } from "./limits.ts";
import type { SimulatedThread } from "./thread.ts";

interface File {
  bytes: Uint8Array;
  size: number;
  /** Bytes from the start that survive a crash. */
  durable: number;
}

export interface DiskFaults {
  /** So many syncs from now on fail, and what they should have made durable stays in doubt. */
  failingSyncs: number;
  /** Bytes that the disk holds; an append past it writes what fits, and fails. */
  bytesMax: number;
}

export class SimulatedDisk {
  readonly faults: DiskFaults = { failingSyncs: 0, bytesMax: Number.POSITIVE_INFINITY };
  readonly #name: string;
  readonly #chance: Pick<SeededStreams, "next">;
  readonly #delayMs: readonly [number, number];
  readonly #files = new Map<string, File>();

  constructor(
    name: string,
    chance: Pick<SeededStreams, "next">,
    delayMs: readonly [number, number] = simulationLimits.diskDelayMs,
  ) {
    this.#name = name;
    this.#chance = chance;
    this.#delayMs = delayMs;
  }

  /** The disk as one thread's life has it: when that life ends, its unanswered operations are never answered. */
  mounted(thread: SimulatedThread): Disk {
    const answered = async (): Promise<void> => {
      await thread.sleep(thread.delayMs("simulation.disk", this.#delayMs), `disk ${this.#name}`);
    };
    return {
      makeDirectory: () => answered(),
      list: async (path) => {
        await answered();
        return this.list(path);
      },
      read: async (path) => {
        await answered();
        return this.read(path);
      },
      openAppend: async (path, { synced }) => {
        await answered();
        return this.#open(path, synced, answered);
      },
      truncate: async (path, size) => {
        await answered();
        const file = this.#existing(path);
        file.size = Math.min(file.size, size);
        file.durable = file.size;
      },
      remove: async (path) => {
        await answered();
        this.#files.delete(path);
      },
    };
  }

  /** The machine loses its power. */
  crash(): void {
    for (const file of this.#files.values()) {
      const unsynced = file.size - file.durable;
      if (unsynced === 0) continue;
      const fate = this.#chance.next(`${this.#name} simulation.torn`);
      // A third each: all of it had reached the disk by itself, nothing had, a part had.
      const kept = fate < 1 / 3 ? unsynced : fate < 2 / 3 ? 0 : Math.floor((fate - 2 / 3) * 3 * unsynced);
      file.size = file.durable + kept;
      file.durable = file.size;
    }
  }

  /** All files of a folder are gone. */
  wipe(folder: string): void {
    for (const path of this.#files.keys()) if (path.startsWith(`${folder}/`)) this.#files.delete(path);
  }

  /** Names of the folder's files, sorted, at this instant. */
  list(folder: string): string[] {
    const prefix = `${folder}/`;
    return [...this.#files.keys()]
      .filter((path) => path.startsWith(prefix) && !path.includes("/", prefix.length))
      .map((path) => path.slice(prefix.length))
      .sort();
  }

  /** What a reader sees at this instant; `durable`: what would be left of it by a crash at the worst. */
  read(path: string, durable = false): Uint8Array {
    const file = this.#existing(path);
    return file.bytes.slice(0, durable ? file.durable : file.size);
  }

  #open(path: string, synced: boolean, answered: () => Promise<void>): AppendFile {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { bytes: new Uint8Array(256), size: 0, durable: 0 };
      this.#files.set(path, file);
    }
    const opened = file;
    const makeDurable = (upTo: number): void => {
      if (this.faults.failingSyncs > 0) {
        this.faults.failingSyncs--;
        throw diskError("EIO", "a sync failed", path);
      }
      opened.durable = Math.max(opened.durable, upTo);
    };
    return {
      path,
      get size() {
        return opened.size;
      },
      append: async (bytes) => {
        const fits = this.#append(opened, bytes);
        const end = opened.size;
        await answered();
        if (!fits) throw diskError("ENOSPC", "the disk is full", path);
        if (synced) makeDurable(end);
      },
      sync: async () => {
        const end = opened.size;
        await answered();
        makeDurable(end);
      },
      close: () => answered(),
    };
  }

  /** False if only a part fitted. */
  #append(file: File, bytes: Uint8Array): boolean {
    let used = 0;
    for (const { size } of this.#files.values()) used += size;
    const length = Math.max(0, Math.min(bytes.byteLength, this.faults.bytesMax - used));
    if (file.size + length > file.bytes.byteLength) {
      const larger = new Uint8Array(Math.max(file.bytes.byteLength * 2, file.size + length));
      larger.set(file.bytes.subarray(0, file.size));
      file.bytes = larger;
    }
    file.bytes.set(bytes.subarray(0, length), file.size);
    file.size += length;
    assert(file.durable <= file.size, "what is durable was written");
    return length === bytes.byteLength;
  }

  #existing(path: string): File {
    const file = this.#files.get(path);
    if (file === undefined) throw diskError("ENOENT", "no such file", path);
    return file;
  }
}

function diskError(errno: string, message: string, path: string): NanoError {
  return new NanoError("unavailable", `disk: ${errno}: ${message}, ${path}`, { errno, path });
}
