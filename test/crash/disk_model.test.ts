/** The model of a disk against traces of a few calls, and the reader of traces against lines as strace writes them. */

import { expect, it } from "vitest";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import { type CrashImage, DiskModel, type ModelOptions, sectorBytes } from "./disk_model.ts";
import { type DiskEvent, emptyDisk, TraceReader } from "./strace.ts";

const strict: ModelOptions = { syncs: true, entries: "strict" };
const draws = 300;

/** Every image that is drawn of one point. */
function images(events: readonly DiskEvent[], at: number, options = strict): CrashImage[] {
  return Array.from({ length: draws }, (_, seed) =>
    new DiskModel(
      { before: emptyDisk, events, reports: [], length: at },
      options,
      Xoshiro128.seeded(seed + 1),
    ).image(at),
  );
}

/** What a file holds in them, each once; undefined where it is not there. */
function contents(events: readonly DiskEvent[], at: number, options = strict): Set<string | undefined> {
  return new Set(images(events, at, options).map(({ files }) => shown(files.get("f"))));
}

/** The first byte of each sector; a file may have grown before what it grew by was written. */
function shown(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const sectors = Array.from(
    { length: Math.ceil(bytes.byteLength / sectorBytes) },
    (_, i) => bytes[i * sectorBytes],
  );
  return sectors.map((byte) => (byte === 0 ? "-" : String.fromCharCode(byte ?? 0))).join("");
}

const made: readonly DiskEvent[] = [
  { type: "create", path: "f", start: 1, end: 1 },
  { type: "sync_folder", path: "", start: 2, end: 2 },
];

function write(text: string, start: number, end = start, { offset = 0, synced = false } = {}): DiskEvent {
  const data = Buffer.concat(Array.from(text, (each) => Buffer.alloc(sectorBytes, each)));
  return { type: "write", path: "f", offset, data, synced, start, end };
}

function sync(start: number, end = start): DiskEvent {
  return { type: "sync", path: "f", start, end };
}

it("what was written before a sync began is in every image, and what came after it may be torn by sectors", () => {
  const events = [...made, write("ab", 3), sync(4), write("xy", 5)];
  expect(contents(events, 4)).toEqual(new Set(["ab"]));
  expect(contents(events, 5)).toEqual(new Set(["ab", "xb", "ay", "xy"]));
});

it("a sync covers neither a write that had not ended when it began nor anything before it has ended", () => {
  const events = [...made, write("a", 3, 5), sync(4, 6), write("b", 7), sync(8, 10)];
  expect(contents(events, 6)).toContain("");
  expect(contents(events, 9)).toEqual(new Set(["", "-", "a", "b"]));
  expect(contents(events, 10)).toEqual(new Set(["b"]));
});

it("a sector never holds a later write without an earlier one, nor less than a write that was its own sync", () => {
  const half = Buffer.alloc(sectorBytes / 2, "q");
  const later: DiskEvent = {
    ...made[0],
    type: "write",
    path: "f",
    offset: 256,
    data: half,
    synced: true,
    start: 4,
    end: 4,
  };
  const seen = new Set(images([...made, write("a", 3), later], 4).map(({ files }) => files.get("f")));
  const texts = new Set([...seen].map((bytes) => `${shown(bytes)}${String.fromCharCode(bytes?.[300] ?? 0)}`));
  expect(texts).toEqual(new Set(["aq"]));
});

it("a write that is its own sync may be torn while it is under way, and is whole once it has ended", () => {
  const events = [...made, write("ab", 3, 4, { synced: true })];
  const torn = contents(events, 3);
  for (const part of ["", "a", "-b", "ab"]) expect(torn).toContain(part);
  expect(contents(events, 4)).toEqual(new Set(["ab"]));
});

it("a file is there for certain only once its folder was synced", () => {
  const [create] = made;
  const events = create === undefined ? [] : [create, write("a", 3), sync(4)];
  expect(contents(events, 4)).toEqual(new Set([undefined, "a"]));
  expect(contents(events, 4, { ...strict, entries: "journaled" })).toEqual(new Set(["a"]));
});

it("a file may stay after it was removed until its folder was synced", () => {
  const events: DiskEvent[] = [
    ...made,
    write("a", 3),
    sync(4),
    { type: "remove", path: "f", start: 5, end: 5 },
  ];
  expect(contents(events, 5)).toEqual(new Set(["a", undefined]));
  events.push({ type: "sync_folder", path: "", start: 6, end: 6 });
  expect(contents(events, 6)).toEqual(new Set([undefined]));
});

it("a file that was renamed has its old name or its new one until the folder is synced, never both or none", () => {
  const events: DiskEvent[] = [
    ...made,
    { type: "rename", path: "g", from: "f", start: 3, end: 3 },
    { type: "sync_folder", path: "", start: 5, end: 5 },
  ];
  const names = (at: number) => new Set(images(events, at).map(({ files }) => [...files.keys()].join(" ")));
  expect(names(4)).toEqual(new Set(["f", "g"]));
  expect(names(5)).toEqual(new Set(["g"]));
});

it("without syncs in the model nothing is certain", () => {
  const events = [...made, write("a", 3, 3, { synced: true }), sync(4)];
  expect(contents(events, 4, { ...strict, syncs: false })).toEqual(new Set([undefined, "", "-", "a"]));
});

function hex(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

function traced(...lines: readonly string[]) {
  const reader = new TraceReader("/d");
  for (const line of lines) reader.line(line);
  return reader.result();
}

const flags = "O_WRONLY|O_CREAT|O_APPEND|O_DSYNC";
const opened = `1 openat(AT_FDCWD<${hex("/")}>, "${hex("/d/f")}", ${flags}, 0666) = 9<${hex("/d/f")}>`;

it("calls that other threads interrupt are read with where they began and ended, and appends where they land", () => {
  const file = `9<${hex("/d/f")}>`;
  const { events, reports } = traced(
    opened,
    `1 write(${file}, "${hex("ab")}", 2) = 2`,
    `2 write(${file}, "${hex("c")}", 1 <unfinished ...>`,
    `1 write(3<${hex("pipe:[1]")}>, "${hex("a 1\ni 2 k put\n")}", 14) = 14`,
    "2 <... write resumed>)                = 1",
    `1 write(5<${hex("/elsewhere")}>, "${hex("z")}", 1) = 1`,
  );
  const shownEvents = events.map((event) => ({ ...event, data: undefined }));
  expect(shownEvents).toMatchObject([
    { type: "create", path: "f", start: 1, end: 2 },
    { type: "write", path: "f", offset: 0, synced: true, start: 3, end: 4 },
    { type: "write", path: "f", offset: 2, synced: true, start: 5, end: 10 },
  ]);
  expect(reports).toEqual([
    { line: "a 1", at: 7 },
    { line: "i 2 k put", at: 7 },
  ]);
});

it("a store that is written through a map is refused, not read past", () => {
  const map = `1 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 9<${hex("/d/f")}>, 0) = 0x7f0000000000`;
  expect(() => traced(opened, map)).toThrow("mmap is not understood");
});
