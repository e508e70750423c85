/** Compaction of a dirty log, interrupted before each change that it makes to the disk. */

import { describe, expect, it } from "vitest";
import { LogImage } from "../../../actors/log_image.ts";
import type { LogRecord } from "../../../actors/log_records.ts";
import { SegmentWriter } from "../../../actors/log_segments.ts";
import { type AppendFile, type Disk, NanoError } from "../../../src/index.ts";
import { clear, folder, type LogWorld, mark, onDisk, recovered, start } from "./log_rows.ts";

/** A disk on which only `left` more changes succeed. */
class BreakingDisk {
  left = Number.POSITIVE_INFINITY;
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  get seam(): Disk {
    return {
      ...this.#disk,
      openAppend: async (path, options) => {
        this.#step();
        return this.#breaking(await this.#disk.openAppend(path, options));
      },
      remove: async (path) => {
        this.#step();
        await this.#disk.remove(path);
      },
    };
  }

  #breaking(file: AppendFile): AppendFile {
    return {
      path: file.path,
      get size() {
        return file.size;
      },
      append: async (bytes) => {
        this.#step();
        await file.append(bytes);
      },
      sync: async () => {
        this.#step();
        await file.sync();
      },
      close: () => file.close(),
    };
  }

  #step(): void {
    if (this.left-- <= 0) throw new NanoError("unavailable", "the power is gone");
  }
}

/** More than one frame is live at the end, beside what is void or cleared. */
const written: readonly LogRecord[] = [
  ...Array.from({ length: 300 }, (_, i) => mark(`void${i}`, i)),
  start(1),
  ...Array.from({ length: 5_000 }, (_, i) => mark(`k${i}`, i, 0, 2)),
  start(2),
  ...Array.from({ length: 400 }, (_, i) => clear(`k${i}`, i, 0, 2)),
  mark("k4000", 9_999, 0, 2),
  mark("other", 1, 1, 1),
  start(1, 1),
];

function imageOf(records: readonly LogRecord[]): LogImage {
  const image = new LogImage();
  for (const record of records) image.apply(record);
  return image;
}

function account(image: LogImage): unknown {
  return [0, 1].map((shard) => {
    const { shardTerm, marks } = image.recover(shard);
    return { shardTerm, marks: new Map(marks.map(({ key, version }) => [key, version])) };
  });
}

/** Two older segments, then a compaction that the power leaves after `steps` changes. True if it came to its end. */
async function compactUntil({ disk, simulated }: LogWorld, steps: number, synced: boolean): Promise<boolean> {
  const breaking = new BreakingDisk(disk);
  const options = { disk: breaking.seam, folder, synced };
  const first = await SegmentWriter.open({ ...options, synced: true });
  await first.commit(written.slice(0, 3_000));
  const log = await SegmentWriter.open({ ...options, synced: true });
  await log.commit(written.slice(3_000));
  await log.close();
  breaking.left = steps;
  const compacted = SegmentWriter.holding(options, [...imageOf(written).records()]);
  const ended = await compacted
    .then((writer) => writer.removeOlder())
    .then(
      () => true,
      () => false,
    );
  simulated.crash();
  return ended;
}

describe("a compaction", () => {
  it.each([true, false])(
    "that is interrupted at any step leaves a full account, synced writes %s",
    async (synced) => {
      const expected = account(imageOf(written));
      let interrupted = 0;
      for (let ended = false; !ended; interrupted++) {
        for (let seed = 0; seed < 3; seed++) {
          await onDisk(seed, async (of) => {
            ended = await compactUntil(of, interrupted, synced);
            const { image, damaged } = await recovered(of.disk);
            expect({ interrupted, damaged }).toEqual({ interrupted, damaged: 0 });
            expect(account(image)).toEqual(expected);
          });
        }
      }
      // A new file with its header and its sync, two frames, a sync, two files removed.
      expect(interrupted).toBeGreaterThan(8);
    },
  );

  it("leaves one segment with what is live, and later commits go there", async () => {
    await onDisk(1, async (of) => {
      expect(await compactUntil(of, Number.POSITIVE_INFINITY, true)).toBe(true);
      expect(of.simulated.list(folder)).toEqual(["0000000003.log"]);
      const { image } = await recovered(of.disk);
      expect(image.recover(0).marks).toHaveLength(4_600);
    });
    await onDisk(1, async (of) => {
      const options = { disk: of.disk, folder, synced: true };
      const older = await SegmentWriter.open(options);
      await older.commit([mark("a", 1), mark("b", 1), clear("a", 1)]);
      const log = await SegmentWriter.holding(options, [mark("b", 1)]);
      await log.removeOlder();
      await log.commit([mark("c", 1)]);
      of.simulated.crash();
      expect((await recovered(of.disk)).image.recover(0).marks).toHaveLength(2);
      expect(of.simulated.list(folder)).toEqual(["0000000002.log"]);
    });
  });
});
