/** The files of a dirty log on a simulated disk: torn tails, damage, compaction and its crashes. */

import { describe, expect, it } from "vitest";
import { LogImage } from "../../../actors/log_image.ts";
import { encodeFrame } from "../../../actors/log_records.ts";
import { readFolder } from "../../../actors/log_segments.ts";
import { crc32c } from "../../../src/index.ts";
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

/** The same frames under the header of another format. */
function withHeader(bytes: Uint8Array, format: number): Uint8Array {
  const changed = bytes.slice();
  changed[7] = format;
  new DataView(changed.buffer).setUint32(8, crc32c(changed, 0, 8));
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
      const { damage } = await readFolder(of.disk, folder, image, { own: false });
      expect([marked(image), damage]).toEqual([["a", "b"], []]);
      expect(of.simulated.read(`${folder}/0000000001.log`)).toEqual(before);
    });
  });

  it("any damaged byte is counted, in header and last frame too, and all other frames are read", async () => {
    await onDisk(1, async (of) => {
      const { frameBytes } = await threeFrames(of);
      const whole = of.simulated.read(`${folder}/0000000001.log`);
      const headerBytes = whole.byteLength - 3 * frameBytes;
      for (let offset = 0; offset < whole.byteLength; offset++) {
        const hit = Math.floor((offset - headerBytes) / frameBytes);
        const left = ["a", "b", "c"].filter((_, frame) => frame !== hit);
        for (const change of [0x01, 0x80, 0xff]) {
          await rewrite(of, () => withByte(whole, offset, change));
          const { image, damaged } = await recovered(of.disk);
          const expected = { offset, change, marked: left, damaged: 1 };
          expect({ offset, change, marked: marked(image), damaged }).toEqual(expected);
        }
      }
      expect(of.simulated.read(`${folder}/0000000001.log`).byteLength).toBe(whole.byteLength);
    });
  });

  it("a segment that is missing between two others, or can't be read, is damage", async () => {
    await onDisk(1, async (of) => {
      for (const name of ["a", "b", "c"]) await (await writer(of.disk)).commit([mark(name, 1)]);
      of.simulated.faults.unreadable.add(`${folder}/0000000002.log`);
      const unreadable = await recovered(of.disk);
      expect([marked(unreadable.image), unreadable.damaged]).toEqual([["a", "c"], 1]);
      await of.disk.remove(`${folder}/0000000002.log`);
      const missing = await recovered(of.disk);
      expect([marked(missing.image), missing.damaged]).toEqual([["a", "c"], 1]);
      await of.disk.remove(`${folder}/0000000001.log`);
      expect((await recovered(of.disk)).damaged).toBe(0);
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

  it.each([1, 3, 200])(
    "format %i is refused by name, with its cure, and nothing is changed",
    async (found) => {
      await onDisk(1, async (of) => {
        await threeFrames(of);
        await rewrite(of, (bytes) => withHeader(bytes, found).slice(0, -3));
        const before = of.simulated.read(`${folder}/0000000001.log`);
        await expect(recovered(of.disk)).rejects.toMatchObject({
          code: "config",
          message: expect.stringContaining(`format ${found} of the dirty log, this version reads 2`),
          details: { field: "data", cure: expect.stringContaining("version"), found, known: 2 },
        });
        expect(of.simulated.list(folder)).toEqual(["0000000001.log"]);
        expect(of.simulated.read(`${folder}/0000000001.log`)).toEqual(before);
      });
    },
  );

  it("a record of a type that is not known is refused, and so is what is no log", async () => {
    await onDisk(1, async (of) => {
      await (await writer(of.disk)).commit([{ ...mark("a", 1), type: "omen" } as never]);
      const refused = { code: "config", message: expect.stringContaining("omen") };
      await expect(recovered(of.disk)).rejects.toMatchObject(refused);
      await rewrite(of, () => new TextEncoder().encode("something else altogether"));
      await expect(recovered(of.disk)).rejects.toMatchObject({ code: "config" });
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
