/** Records for tests of the dirty log, and a simulated disk as one thread has it. */

import fc from "fast-check";
import { LogImage } from "../../../actors/log_image.ts";
import type { LogRecord } from "../../../actors/log_records.ts";
import { readFolder, SegmentWriter } from "../../../actors/log_segments.ts";
import { type DirtyRange, type MarkOwner, rowKey, type Version } from "../../../actors/records.ts";
import type { Disk } from "../../../src/index.ts";
import { SimulatedDisk, simulateSeed, type World } from "../../../src/simulation/index.ts";
import { mount } from "../../sim/mounted_disk.ts";

export const folder = "log";

export function mark(
  name: string,
  n: number,
  shard = 0,
  shardTerm = 1,
  owner: MarkOwner = "queuer",
): LogRecord {
  return { type: "mark", shard, shardTerm, key: rowKey("things", name), version: [1, shardTerm, n], owner };
}

export function clear(name: string, n: number, shard = 0, shardTerm = 1): LogRecord {
  return { type: "clear", shard, shardTerm, key: rowKey("things", name), version: [1, shardTerm, n] };
}

/** A new account begins. */
export function account(shardTerm: number, shard = 0): LogRecord {
  return { type: "account", shard, shardTerm };
}

export function start(shardTerm: number, shard = 0): LogRecord {
  return { type: "start", shard, shardTerm };
}

/** Names of a shard's live marks, sorted. */
export function marked(image: LogImage, shard = 0): string[] {
  const marks = image.recover(shard).marks;
  return marks.map(({ key }) => key.split("\u0000")[1] ?? "").sort((a, b) => (a < b ? -1 : 1));
}

export interface LogWorld {
  readonly world: World;
  readonly simulated: SimulatedDisk;
  readonly disk: Disk;
}

/** Runs a scenario on a disk of its own; `seed` decides what a crash keeps of unsynced bytes. */
export async function onDisk<T>(seed: number, scenario: (of: LogWorld) => Promise<T>): Promise<T> {
  const report = await simulateSeed({ seed }, async (world) => {
    const simulated = new SimulatedDisk("d", { next: (site) => world.chance(site) });
    return scenario({ world, simulated, disk: await mount(world, simulated) });
  });
  return report.result;
}

export function writer(disk: Disk): Promise<SegmentWriter> {
  return SegmentWriter.open({ disk, folder, synced: true });
}

/** What a start after a crash finds. */
export async function recovered(disk: Disk): Promise<{ image: LogImage; damaged: number; bytes: number }> {
  const image = new LogImage();
  const { damage, bytes } = await readFolder(disk, folder, image, { own: true });
  return { image, damaged: damage.length, bytes };
}

const version: fc.Arbitrary<Version> = fc.tuple(fc.nat(), fc.nat(), fc.nat());
const key = fc.string({ unit: "grapheme", maxLength: 20 }).map((name) => rowKey("things", name));
const range: fc.Arbitrary<DirtyRange> = fc.record({
  id: fc.string({ maxLength: 5 }),
  cohort: fc.constantFrom("things/*", "things/+49"),
  from: key,
  to: key,
  cursor: key,
  state: fc.constantFrom("collecting", "scanning"),
  reason: fc.constantFrom("copy", "overflow", "log_lost", "peer_lost", "feed_gap", "operator"),
});

function recordOf<Type extends LogRecord["type"], Rest>(
  type: Type,
  rest: { [K in keyof Rest]: fc.Arbitrary<Rest[K]> },
) {
  const shared = { type: fc.constant(type), shard: fc.nat(3), shardTerm: fc.nat(5) };
  return fc.record<{ type: Type; shard: number; shardTerm: number } & Rest>({ ...shared, ...rest } as never);
}

/** Any record of a log. */
export const anyRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  recordOf("account", {}),
  recordOf("start", {}),
  recordOf("mark", { key, version, owner: fc.constantFrom<MarkOwner>("queuer", "replay", "perror") }),
  recordOf("clear", { key, version }),
  recordOf("range", { range }),
  recordOf("range_removed", { id: fc.string() }),
  recordOf("cursor", { id: fc.string(), cursor: key }),
  recordOf("perror", { key, version, reason: fc.string(), attempts: fc.nat(), firstAtMs: fc.nat() }),
  recordOf("perror_resolved", { key }),
  recordOf("held", { key, decision: fc.string() }),
) as fc.Arbitrary<LogRecord>;
