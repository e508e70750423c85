/** The files of a dirty log on a simulated disk: torn tails, damage, compaction and its crashes. */

import { describe, expect, it } from "vitest";
import { LogImage } from "../../../actors/log_image.ts";
import { encodeFrame } from "../../../actors/log_records.ts";
import { readFolder } from "../../../actors/log_segments.ts";
import { clear, folder, type LogWorld, mark, marked, onDisk, recovered, writer } from "./log_rows.ts";

/** The first segment's bytes, as some other hand leaves them. */
async function rewrite(
  { disk, simulated }: LogWorld,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const path = `${folder}/${simulated.list(folder).at(-1)}`;
  const bytes = change(simulated.read(path));
  await disk.remove(path);
  const file = await disk.openAppend(path, { synced: true });
  await file.append(bytes);
}

/** Three commits of one mark each, in one segment. */
async function threeFrames({ disk }: LogWorld): Promise<{ readonly frameBytes: number }> {
  const log = await writer(disk);
  for (const name of ["a", "b", "c"]) await log.commit([mark(name, 1)]);
  return { frameBytes: encodeFrame([mark("a", 1)]).byteLength };
}

function withByte(bytes: Uint8Array, offset: number, change: number): Uint8Array {
  const changed = bytes.slice();
  changed[offset] = (changed[offset] ?? 0) ^ change;
  return changed;
}

describe("the segments of a dirty log", () => {
  it("keep every commit that was acknowledged, whatever a crash keeps of the rest", async () => {
    for (let seed = 0; seed < 40; seed++) {
      await onDisk(seed, async ({ disk, simulated }) => {
        const log = await writer(disk);
        await log.commit([mark("a", 1), mark("b", 1)]);
        await log.commit([mark("c", 1), clear("a", 1)]);
        const unanswered = log.commit([mark("d", 1), mark("e", 1)]);
        simulated.crash();
        const { image, damaged } = await recovered(disk);
        expect(damaged).toBe(0);
        expect([
          ["b", "c"],
          ["b", "c", "d", "e"],
        ]).toContainEqual(marked(image));
        await unanswered;
      });
    }
  });

  it("a tail that is cut anywhere is cut off, and what is written after it is read", async () => {
    await onDisk(1, async (of) => {
      const { frameBytes } = await threeFrames(of);
      const whole = of.simulated.read(`${folder}/0000000001.log`);
      for (let cut = 1; cut < frameBytes; cut++) {
        await rewrite(of, () => whole.slice(0, whole.byteLength - cut));
        const { image, damaged } = await recovered(of.disk);
        expect([marked(image), damaged]).toEqual([["a", "b"], 0]);
        expect(of.simulated.read(`${folder}/0000000001.log`).byteLength).toBe(whole.byteLength - frameBytes);
      }
      await (await writer(of.disk)).commit([mark("d", 1)]);
      const { image, damaged } = await recovered(of.disk);
      expect([marked(image), damaged]).toEqual([["a", "b", "d"], 0]);
    });
  });

  it("a tail of zeros is cut off: a file may grow before its bytes are there", async () => {
    await onDisk(1, async (of) => {
      await threeFrames(of);
      for (const zeros of [1, 8, 9, 5_000]) {
        await rewrite(of, (bytes) => Uint8Array.from([...bytes, ...new Uint8Array(zeros)]));
        const { image, damaged } = await recovered(of.disk);
        expect([marked(image), damaged]).toEqual([["a", "b", "c"], 0]);
      }
    });
  });

  it("another thread's reader leaves a torn tail alone", async () => {
    await onDisk(1, async (of) => {
      await threeFrames(of);
      await rewrite(of, (bytes) => bytes.slice(0, -3));
      const before = of.simulated.read(`${folder}/0000000001.log`);
      const image = new LogImage();
      const { damaged } = await readFolder(of.disk, folder, image, { own: false });
      expect([marked(image), damaged]).toEqual([["a", "b"], 0]);
      expect(of.simulated.read(`${folder}/0000000001.log`)).toEqual(before);
    });
  });

  it("any damaged byte before the last frame is counted, and the frames behind it are read", async () => {
    await onDisk(1, async (of) => {
      const { frameBytes } = await threeFrames(of);
      const whole = of.simulated.read(`${folder}/0000000001.log`);
      const second = whole.byteLength - 2 * frameBytes;
      for (let offset = second; offset < second + frameBytes; offset++) {
        for (const change of [0x01, 0x80, 0xff]) {
          await rewrite(of, () => withByte(whole, offset, change));
          const { image, damaged } = await recovered(of.disk);
          expect({ offset, change, marked: marked(image), damaged }).toEqual({
            offset,
            change,
            marked: ["a", "c"],
            damaged: 1,
          });
        }
      }
      expect(of.simulated.read(`${folder}/0000000001.log`).byteLength).toBe(whole.byteLength);
    });
  });

  it("a segment that another one follows must be whole", async () => {
    await onDisk(1, async (of) => {
      await threeFrames(of);
      await rewrite(of, (bytes) => bytes.slice(0, -3));
      const later = await of.disk.openAppend(`${folder}/0000000002.log`, { synced: true });
      await later.append(new Uint8Array(0));
      const { image, damaged } = await recovered(of.disk);
      expect([marked(image), damaged]).toEqual([["a", "b"], 1]);
    });
  });

  it("a segment that was never used, its header cut or zeros, is no damage", async () => {
    await onDisk(1, async (of) => {
      await threeFrames(of);
      await (await writer(of.disk)).close();
      for (const header of [new Uint8Array(0), new Uint8Array(8), new TextEncoder().encode("NANO")]) {
        await rewrite(of, () => header);
        const { image, damaged } = await recovered(of.disk);
        expect([marked(image), damaged]).toEqual([["a", "b", "c"], 0]);
      }
    });
  });

  it("a newer format is refused with its cure, and nothing is changed", async () => {
    await onDisk(1, async (of) => {
      await threeFrames(of);
      const versionByte = 7;
      await rewrite(of, (bytes) => withByte(bytes, versionByte, 0x02).slice(0, -3));
      const before = of.simulated.read(`${folder}/0000000001.log`);
      const refused = {
        code: "config",
        details: { field: "data", cure: expect.stringContaining("version") },
      };
      await expect(recovered(of.disk)).rejects.toMatchObject(refused);
      await rewrite(of, () => new TextEncoder().encode("something else altogether"));
      await expect(recovered(of.disk)).rejects.toMatchObject({ code: "config" });
      await rewrite(of, () => before);
      expect(of.simulated.list(folder)).toEqual(["0000000001.log"]);
    });
  });

  it("an append that fails leaves a tail that the next start cuts off", async () => {
    await onDisk(1, async ({ disk, simulated }) => {
      const log = await writer(disk);
      await log.commit([mark("a", 1)]);
      simulated.faults.bytesMax = simulated.read(`${folder}/0000000001.log`).byteLength + 20;
      await expect(log.commit([mark("b", 1)])).rejects.toMatchObject({ code: "unavailable" });
      simulated.faults.bytesMax = Number.POSITIVE_INFINITY;
      const first = await recovered(disk);
      expect([marked(first.image), first.damaged]).toEqual([["a"], 0]);
      await (await writer(disk)).commit([mark("c", 1)]);
      const second = await recovered(disk);
      expect([marked(second.image), second.damaged]).toEqual([["a", "c"], 0]);
    });
  });

  it("a commit of more records than a frame holds is read back whole", async () => {
    await onDisk(1, async ({ disk }) => {
      const log = await writer(disk);
      await log.commit(Array.from({ length: 10_000 }, (_, i) => mark(`k${i}`, i)));
      const { image } = await recovered(disk);
      expect(image.recover(0).marks).toHaveLength(10_000);
    });
  });
});
