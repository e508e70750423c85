/**
 * A simulated disk behind the Disk seam. What was appended is readable at once; it survives `crash` only as far as it
 * was synced: of the rest, chance keeps all, nothing, a part that may end inside a record, or any of its sectors.
 * Its faults: syncs that fail and lose what they should have kept, a full disk, folders that fail, bit rot, entries of
 * folders that are not synced, wiped folders.
 *
 * Always true: what an append to a `synced` file, or a `sync`, has acknowledged survives every crash.
 */

import { assert } from "../base/assert.ts";
import { NanoError } from "../base/errors.ts";
import type { SeededStreams } from "../base/seeded_streams.ts";
import type { AppendFile, Disk } from "../seams/disk.ts";
import { SimulatedFile } from "./disk_file.ts";
import { simulationLimits } from "./limits.ts";
import type { SimulatedThread } from "./thread.ts";

export interface DiskFaults {
  /**
   * So many syncs from now on fail. What they should have made durable reads as if it were, and later syncs take it
   * for done, but it never reaches the disk: so do Linux's file systems.
   */
  failingSyncs: number;
  /** Bytes that the disk holds; an append past it writes what fits, and fails. */
  bytesMax: number;
  /** So much longer takes every operation, ms. */
  slowMs: number;
  /** Every operation on a path that begins with one of these fails: a disk that does not answer any more. */
  readonly broken: Set<string>;
  /** Files that can't be read. */
  readonly unreadable: Set<string>;
  /** Files that are made or removed are so only until the machine loses its power, or for good: chance says. */
  unsyncedFolders: boolean;
}

type Operation = <T>(path: string, work: () => T) => Promise<T>;

export class SimulatedDisk {
  readonly faults: DiskFaults = {
    failingSyncs: 0,
    bytesMax: Number.POSITIVE_INFINITY,
    slowMs: 0,
    broken: new Set(),
    unreadable: new Set(),
    unsyncedFolders: false,
  };
  /** Hears of each sync that failed and each append that did not fit. */
  onFault: ((fault: "sync failed" | "disk full") => void) | undefined;
  readonly #name: string;
  readonly #chance: Pick<SeededStreams, "next">;
  readonly #delayMs: readonly [number, number];
  readonly #files = new Map<string, SimulatedFile>();
  /** Removed, but the folder does not know it durably. */
  readonly #removed = new Map<string, SimulatedFile>();

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
      const delayMs = thread.delayMs("simulation.disk", this.#delayMs) + this.faults.slowMs;
      await thread.sleep(delayMs, `disk ${this.#name}`);
    };
    const operation: Operation = async (path, work) => {
      await answered();
      this.#refuseBroken(path);
      return work();
    };
    return {
      makeDirectory: (path) => operation(path, () => undefined),
      list: (path) => operation(path, () => this.list(path)),
      read: (path) => operation(path, () => this.#read(path)),
      openAppend: (path, { synced }) => operation(path, () => this.#open(path, synced, answered)),
      truncate: (path, size) => operation(path, () => this.#existing(path).truncate(size)),
      remove: (path) => operation(path, () => this.#remove(path)),
    };
  }

  /** The machine loses its power. */
  crash(): void {
    for (const [path, file] of this.#files) {
      if (file.entryIsDurable || this.#draw("entry") < 0.5) file.crash((site) => this.#draw(site));
      else this.#files.delete(path);
    }
    for (const [path, file] of this.#removed) {
      if (this.#draw("entry") < 0.5) continue;
      file.crash((site) => this.#draw(site));
      if (!this.#files.has(path)) this.#files.set(path, file);
    }
    this.#removed.clear();
  }

  /** All files of a folder are gone, those of its subfolders, too; without a folder the whole disk is. */
  wipe(folder?: string): void {
    const prefix = folder === undefined ? "" : `${folder}/`;
    for (const path of this.#files.keys()) if (path.startsWith(prefix)) this.#files.delete(path);
  }

  /** It had lied: what it acknowledged of the file behind `size` was never written. */
  lie(path: string, size: number): void {
    this.#existing(path).truncate(size);
  }

  /** A bit of a file turns over, on the disk too. Default: any bit of the synced bytes of any file of `under`. */
  rot(
    under: string,
    at?: { readonly offset: number; readonly bit?: number },
  ): { path: string; offset: number } {
    const rotten = at === undefined ? this.#anywhere(under) : { path: under, ...at };
    this.#existing(rotten.path).flip(rotten.offset, rotten.bit ?? 0);
    return { path: rotten.path, offset: rotten.offset };
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
    return this.#existing(path).read(durable);
  }

  #read(path: string): Uint8Array {
    if (this.faults.unreadable.has(path)) throw diskError("EIO", "a read failed", path);
    return this.read(path);
  }

  #open(path: string, synced: boolean, answered: () => Promise<void>): AppendFile {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = new SimulatedFile({ entryIsDurable: !this.faults.unsyncedFolders });
      this.#files.set(path, file);
    }
    const opened = file;
    const makeDurable = (upTo: number): void => {
      if (this.faults.failingSyncs > 0) {
        this.faults.failingSyncs--;
        this.onFault?.("sync failed");
        opened.failSync(upTo);
        throw diskError("EIO", "a sync failed", path);
      }
      opened.sync(upTo);
    };
    return {
      path,
      get size() {
        return opened.size;
      },
      append: async (bytes) => {
        this.#refuseBroken(path);
        const fits = opened.append(bytes, this.#bytesLeft());
        const end = opened.size;
        await answered();
        if (!fits) this.onFault?.("disk full");
        if (!fits) throw diskError("ENOSPC", "no space left on device", path);
        if (synced) makeDurable(end);
      },
      sync: async () => {
        const end = opened.size;
        await answered();
        this.#refuseBroken(path);
        makeDurable(end);
      },
      close: () => answered(),
    };
  }

  #remove(path: string): void {
    const file = this.#files.get(path);
    if (file !== undefined && this.faults.unsyncedFolders) this.#removed.set(path, file);
    this.#files.delete(path);
  }

  /** Bytes that its files take. */
  get used(): number {
    let used = 0;
    for (const { size } of this.#files.values()) used += size;
    return used;
  }

  #bytesLeft(): number {
    return Math.max(0, this.faults.bytesMax - this.used);
  }

  /** Each synced byte is as likely. */
  #anywhere(under: string): { path: string; offset: number; bit: number } {
    const files = [...this.#files]
      .filter(([path]) => path.startsWith(`${under}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const total = files.reduce((sum, [, { durable }]) => sum + durable, 0);
    let offset = Math.floor(this.#draw("rot") * total);
    for (const [path, { durable }] of files) {
      if (offset < durable) return { path, offset, bit: Math.floor(this.#draw("rot") * 8) };
      offset -= durable;
    }
    throw diskError("ENOENT", "nothing to rot", under);
  }

  #refuseBroken(path: string): void {
    for (const prefix of this.faults.broken) {
      if (path.startsWith(prefix)) throw diskError("EIO", "the disk does not answer", path);
    }
  }

  #existing(path: string): SimulatedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw diskError("ENOENT", "no such file", path);
    return file;
  }

  #draw(what: string): number {
    const drawn = this.#chance.next(`${this.#name} simulation.${what}`);
    assert(drawn >= 0 && drawn < 1, "chance is below 1");
    return drawn;
  }
}

function diskError(errno: string, message: string, path: string): NanoError {
  return new NanoError("unavailable", `disk: ${errno}: ${message}, ${path}`, { errno, path });
}
