/**
 * What a disk may hold after a loss of power at any point of a traced run. docs/reference/crash-model.md states the
 * model: a sync makes durable what was written before it began, an entry is durable once its folder was synced, and of
 * everything else each sector may hold any of the states that it had since.
 */

import type { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import { type Disk, type DiskEvent, folderOf, type Trace } from "./strace.ts";

type Write = Extract<DiskEvent, { readonly type: "write" }>;
type Cut = Extract<DiskEvent, { readonly type: "truncate" }>;
type EntryEvent = Extract<
  DiskEvent,
  { readonly type: "create" | "create_folder" | "link" | "rename" | "remove" }
>;

/** Whether a pending event has come to the disk: of the file with this path, by its index, in this sector. */
type Chosen = (path: string, index: number, sector: number) => boolean;

export interface ModelOptions {
  /** False: no sync does anything, as if the calls were not there. */
  readonly syncs: boolean;
  /** `strict`: an entry needs its folder's sync. `journaled`: any file's sync does, as on ext4 and xfs. */
  readonly entries: "strict" | "journaled";
}

/** The files of one possible disk. */
export interface CrashImage extends Disk {
  /** The position in the trace at which the power went. */
  readonly at: number;
  /** How the writes that were not durable were chosen, and how many there were. */
  readonly choice: string;
  readonly pending: number;
}

interface Pending {
  readonly event: Write | Cut;
  /** It was its own sync and has ended, or a sync that covers it has. */
  durable: boolean;
}

class ModelFile {
  #content: Buffer;
  #size: number;
  #pending: Pending[] = [];

  constructor(bytes: Uint8Array = Buffer.alloc(0)) {
    this.#content = Buffer.from(bytes);
    this.#size = bytes.byteLength;
  }

  get pending(): readonly Pending[] {
    return this.#pending;
  }

  begin(event: Write | Cut): void {
    this.#pending.push({ event, durable: false });
  }

  harden(covers: (event: Write | Cut) => boolean): void {
    for (const each of this.#pending) if (covers(each.event)) each.durable = true;
    // What is durable and has nothing optional before it needs no choice any more.
    while (this.#pending[0]?.durable === true) this.#fold(this.#pending.shift()?.event);
  }

  #fold(event: Write | Cut | undefined): void {
    if (event === undefined) return;
    if (event.type === "truncate") {
      this.#size = event.size;
      this.#content.fill(0, event.size);
      return;
    }
    const end = event.offset + event.data.byteLength;
    if (end > this.#content.byteLength) {
      const grown = Buffer.alloc(Math.max(end, this.#content.byteLength * 2));
      this.#content.copy(grown);
      this.#content = grown;
    }
    this.#content.set(event.data, event.offset);
    this.#size = Math.max(this.#size, end);
  }

  image(path: string, drawn: Chosen, isWholeSize: boolean): Uint8Array {
    const chosen = (index: number, sector: number): boolean => drawn(path, index, sector);
    let reach = this.#size;
    for (const { event } of this.#pending) {
      if (event.type === "write") reach = Math.max(reach, event.offset + event.data.byteLength);
    }
    const bytes = Buffer.alloc(reach);
    this.#content.copy(bytes, 0, 0, Math.min(this.#size, reach));
    let size = this.#size;
    const last = this.#lastStates(chosen);
    this.#pending.forEach(({ event }, index) => {
      if (event.type === "truncate") {
        if (!chosen(index, -1)) return;
        bytes.fill(0, event.size);
        size = event.size;
        return;
      }
      forEachSector(event, (sector, from, to) => {
        // A sector holds all that was written to it up to some point, never a later write without an earlier one.
        if (index > (last.get(sector) ?? -1)) return;
        bytes.set(event.data.subarray(from - event.offset, to - event.offset), from);
        size = Math.max(size, to);
      });
    });
    return bytes.subarray(0, isWholeSize ? reach : size);
  }

  #lastStates(chosen: (index: number, sector: number) => boolean): Map<number, number> {
    const last = new Map<number, number>();
    this.#pending.forEach(({ event, durable }, index) => {
      if (event.type !== "write") return;
      forEachSector(event, (sector) => {
        if (durable || chosen(index, sector)) last.set(sector, index);
      });
    });
    return last;
  }
}

/** What a disk writes whole or not at all. */
export const sectorBytes = 512;

function forEachSector(
  { offset, data }: Write,
  visit: (sector: number, from: number, to: number) => void,
): void {
  const end = offset + data.byteLength;
  for (let sector = Math.floor(offset / sectorBytes); sector * sectorBytes < end; sector++) {
    const from = Math.max(offset, sector * sectorBytes);
    visit(sector, from, Math.min(end, (sector + 1) * sectorBytes));
  }
}

/** Goes once through a trace and gives images of the points that it is asked for, in their order. */
export class DiskModel {
  readonly #options: ModelOptions;
  readonly #random: Xoshiro128;
  /** Beginnings and ends of events, in the trace's order. */
  readonly #edges: { readonly at: number; readonly begins: boolean; readonly event: DiskEvent }[] = [];
  #next = 0;
  readonly #files = new Map<string, ModelFile>();
  readonly #durableEntries = new Set<string>();
  readonly #folders = new Set<string>();
  #pendingEntries: EntryEvent[] = [];

  constructor(trace: Trace, options: ModelOptions, random: Xoshiro128) {
    this.#options = options;
    this.#random = random;
    for (const path of trace.before.folders) this.#folders.add(path);
    for (const [path, bytes] of trace.before.files) this.#files.set(path, new ModelFile(bytes));
    for (const path of [...this.#folders, ...this.#files.keys()]) this.#durableEntries.add(path);
    for (const event of trace.events) {
      this.#edges.push({ at: event.start, begins: true, event });
      if (event.end !== Number.POSITIVE_INFINITY) this.#edges.push({ at: event.end, begins: false, event });
    }
    // Of one position: first it begins.
    this.#edges.sort((a, b) => a.at - b.at || Number(b.begins) - Number(a.begins));
  }

  /** The disk after a loss of power when everything up to `at` has happened. `at` never falls. */
  image(at: number): CrashImage {
    for (; this.#next < this.#edges.length; this.#next++) {
      const edge = this.#edges[this.#next];
      if (edge === undefined || edge.at > at) break;
      if (edge.begins) this.#begin(edge.event);
      else this.#end(edge.event);
    }
    return this.#draw(at);
  }

  #begin(event: DiskEvent): void {
    switch (event.type) {
      case "write":
      case "truncate":
        this.#fileOf(event.path).begin(event);
        return;
      case "create":
      case "create_folder":
      case "link":
      case "rename":
      case "remove":
        if (event.type === "create_folder") this.#folders.add(event.path);
        if (event.type === "link" || event.type === "rename")
          this.#files.set(event.path, this.#fileOf(event.from));
        if (event.type === "create") this.#files.set(event.path, new ModelFile());
        this.#pendingEntries.push(event);
        return;
      case "sync":
      case "sync_folder":
        // It has done nothing for certain before it ends.
        return;
    }
  }

  #end(event: DiskEvent): void {
    if (!this.#options.syncs) return;
    if (event.type === "write" && event.synced) this.#fileOf(event.path).harden((each) => each === event);
    if (event.type === "sync") this.#fileOf(event.path).harden(({ end }) => end < event.start);
    const journaled = this.#options.entries === "journaled";
    if (event.type === "sync_folder" || (journaled && event.type === "sync")) {
      this.#hardenEntries(
        ({ path, end }) => end < event.start && (journaled || folderOf(path) === event.path),
      );
    }
  }

  #hardenEntries(covers: (event: EntryEvent) => boolean): void {
    const gone = new Set<string>();
    this.#pendingEntries = this.#pendingEntries.filter((event) => {
      if (!covers(event)) return true;
      if (event.type !== "remove") this.#durableEntries.add(event.path);
      if (event.type === "rename") this.#durableEntries.delete(event.from);
      if (event.type === "remove") {
        this.#durableEntries.delete(event.path);
        this.#files.delete(event.path);
        if (this.#folders.delete(event.path)) gone.add(event.path);
      }
      return false;
    });
    // Whatever was in a folder is as gone as the folder.
    this.#pendingEntries = this.#pendingEntries.filter(({ path }) => !gone.has(folderOf(path)));
    for (const path of this.#files.keys()) if (gone.has(folderOf(path))) this.#files.delete(path);
  }

  #fileOf(path: string): ModelFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new Error(`${path} is changed, and was never made`);
    return file;
  }

  #draw(at: number): CrashImage {
    const { name, chosen } = this.#chooser();
    const entries = new Set(this.#durableEntries);
    for (const [index, event] of this.#pendingEntries.entries()) {
      if (!chosen("", index, 0)) continue;
      if (event.type === "remove") entries.delete(event.path);
      else entries.add(event.path);
      if (event.type === "rename") entries.delete(event.from);
    }
    const stands = (path: string): boolean => path === "" || (entries.has(path) && stands(folderOf(path)));
    const files = new Map<string, Uint8Array>();
    let pending = this.#pendingEntries.length;
    for (const [path, file] of this.#files) {
      pending += file.pending.filter(({ durable }) => !durable).length;
      const isWholeSize = this.#random.float() < 0.05;
      if (stands(path)) files.set(path, file.image(path, chosen, isWholeSize));
    }
    return { at, folders: [...this.#folders].filter(stands).sort(), files, choice: name, pending };
  }

  /** How this image chooses: by writes, pages or sectors, few of them, half or most. */
  #chooser(): { readonly name: string; readonly chosen: Chosen } {
    const random = this.#random;
    const kind = random.float();
    if (kind < 0.05) return { name: "none", chosen: () => false };
    if (kind < 0.1) return { name: "all", chosen: () => true };
    const share = [0.1, 0.5, 0.9][Math.floor(random.float() * 3)] ?? 0.5;
    if (kind < 0.4) return { name: `sectors ${share}`, chosen: () => random.float() < share };
    const [unit, nameOf] =
      kind < 0.7
        ? ["pages", (path: string, index: number, sector: number) => `${path} ${index} ${sector >> 3}`]
        : ["writes", (path: string, index: number) => `${path} ${index}`];
    return { name: `${unit} ${share}`, chosen: remembered(random, share, nameOf) };
  }
}

/** Draws once for each name. */
function remembered(
  random: Xoshiro128,
  share: number,
  nameOf: (path: string, index: number, sector: number) => string,
): Chosen {
  const known = new Map<string, boolean>();
  return (path, index, sector) => {
    const name = nameOf(path, index, sector);
    const drawn = known.get(name) ?? random.float() < share;
    known.set(name, drawn);
    return drawn;
  };
}
