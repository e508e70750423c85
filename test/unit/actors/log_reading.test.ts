/** A log folder that another thread writes while it is read: at a start, each thread reads all logs of its site. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LogImage } from "../../../actors/log_image.ts";
import type { LogRecord } from "../../../actors/log_records.ts";
import { readFolder, SegmentWriter } from "../../../actors/log_segments.ts";
import { type Disk, nodeDisk } from "../../../src/index.ts";
import { account, clear, mark, marked, start } from "./log_rows.ts";

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nanoactor-log-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A log of two segments, with one of two marks cleared in the second; and what compacts it. */
async function written(): Promise<{ readonly disk: Disk; readonly compact: () => Promise<void> }> {
  const disk = nodeDisk();
  const options = { disk, folder, synced: true };
  const image = new LogImage();
  const lives: LogRecord[][] = [
    [account(1), mark("kept", 1), mark("cleared", 2), start(1)],
    [clear("cleared", 2)],
  ];
  for (const records of lives) {
    for (const record of records) image.apply(record);
    const writer = await SegmentWriter.open(options);
    await writer.commit(records);
    await writer.close();
  }
  const compact = async () => {
    const compacted = await SegmentWriter.holding(options, [...image.records()]);
    await compacted.removeOlder();
    await compacted.close();
  };
  return { disk, compact };
}

/** The disk, on which something happens once, before a file is read for the `nth` time. */
function interrupted(disk: Disk, nth: number, happening: () => Promise<void>): Disk {
  let reads = 0;
  return {
    ...disk,
    read: async (path) => {
      if (++reads === nth) await happening();
      return disk.read(path);
    },
  };
}

it.each([1, 2])(
  "another thread's log that is compacted before its segment %i is read is read whole",
  async (nth) => {
    const { disk, compact } = await written();
    const image = new LogImage();
    await readFolder(interrupted(disk, nth, compact), folder, image, { own: false });
    expect([image.recover(0).shardTerm, marked(image)]).toEqual([1, ["kept"]]);
  },
);

it("a segment of the own log that is gone is an error: nobody else may have removed it", async () => {
  const { disk, compact } = await written();
  const reading = readFolder(interrupted(disk, 1, compact), folder, new LogImage(), { own: true });
  await expect(reading).rejects.toMatchObject({ code: "unavailable", details: { errno: "ENOENT" } });
});
