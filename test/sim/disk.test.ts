/** The simulated disk: what survives a crash of the machine, and each of its faults. */

import { describe, expect, it } from "vitest";
import { SimulatedDisk, simulateSeed } from "../../src/simulation/index.ts";
import { simulationLimits } from "../../src/simulation/limits.ts";
import { mount } from "./mounted_disk.ts";

function ones(bytes: number): Uint8Array {
  return new Uint8Array(bytes).fill(1);
}

describe("the simulated disk", () => {
  /** Appends ten bytes of 1 and syncs, then ten of 2 without; returns what crashes leave. */
  async function leftAfterCrash(seed: number): Promise<number> {
    const report = await simulateSeed({ seed }, async (world) => {
      const simulated = new SimulatedDisk("d", { next: (site) => world.chance(site) });
      const disk = await mount(world, simulated);
      const file = await disk.openAppend("log/1", { synced: false });
      await file.append(new Uint8Array(10).fill(1));
      await file.sync();
      await file.append(new Uint8Array(10).fill(2));
      simulated.crash();
      return simulated.read("log/1").byteLength;
    });
    return report.result;
  }

  it("keeps what was synced, and of the rest all, nothing or a part", async () => {
    const left = new Set<number>();
    for (let seed = 0; seed < 60; seed++) left.add(await leftAfterCrash(seed));
    expect(Math.min(...left)).toBe(10);
    expect(Math.max(...left)).toBe(20);
    expect([...left].some((size) => size > 10 && size < 20)).toBe(true);
  });

  it("a sync that fails loses what it should have kept, though later syncs succeed", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const simulated = new SimulatedDisk("d", { next: () => 0.5 });
      const disk = await mount(world, simulated);
      const file = await disk.openAppend("log/1", { synced: true });
      await file.append(ones(10));
      simulated.faults.failingSyncs = 1;
      await expect(file.append(ones(10))).rejects.toMatchObject({ details: { errno: "EIO" } });
      expect(simulated.read("log/1")).toEqual(ones(20));
      expect(simulated.read("log/1", true)).toEqual(ones(10));
      await file.sync();
      await file.append(ones(10));
      simulated.crash();
      expect(simulated.read("log/1")).toEqual(
        new Uint8Array([...ones(10), ...new Uint8Array(10), ...ones(10)]),
      );
    });
  });

  it("a full disk takes what fits, and more once there is space", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const simulated = new SimulatedDisk("d", { next: () => 0.5 });
      const disk = await mount(world, simulated);
      const file = await disk.openAppend("log/1", { synced: true });
      simulated.faults.bytesMax = 15;
      await file.append(ones(10));
      await expect(file.append(ones(10))).rejects.toMatchObject({ details: { errno: "ENOSPC" } });
      expect(simulated.read("log/1").byteLength).toBe(15);
      await disk.truncate("log/1", 10);
      await disk.remove("log/2");
      simulated.faults.bytesMax = 20;
      await file.append(ones(10));
      expect(simulated.read("log/1").byteLength).toBe(20);
    });
  });

  it("unsynced sectors reach it in any order", async () => {
    const kept = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      await simulateSeed({ seed }, async (world) => {
        const simulated = new SimulatedDisk("d", { next: (site) => world.chance(site) });
        const file = await (await mount(world, simulated)).openAppend("log/1", { synced: false });
        await file.append(ones(3 * simulationLimits.diskSectorBytes));
        simulated.crash();
        const left = simulated.read("log/1");
        const sectors = [0, 1, 2].map((sector) => left[sector * simulationLimits.diskSectorBytes] ?? "-");
        kept.add(sectors.join(""));
      });
    }
    // 0: lost, though a later one was written.
    expect([...kept]).toEqual(expect.arrayContaining(["111", "---", "1--", "01-", "011"]));
  });

  it("a folder that is not synced may forget a new file, and remember a removed one", async () => {
    const found = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      await simulateSeed({ seed }, async (world) => {
        const simulated = new SimulatedDisk("d", { next: (site) => world.chance(site) });
        const disk = await mount(world, simulated);
        await (await disk.openAppend("log/1", { synced: true })).append(ones(1));
        simulated.faults.unsyncedFolders = true;
        await (await disk.openAppend("log/2", { synced: true })).append(ones(1));
        await disk.remove("log/1");
        simulated.crash();
        found.add(simulated.list("log").join());
      });
    }
    expect([...found].sort()).toEqual(["", "1", "1,2", "2"]);
  });

  it("rots a bit of what was synced, refuses what is broken, and loses what is wiped", async () => {
    await simulateSeed({ seed: 1 }, async (world) => {
      const simulated = new SimulatedDisk("d", { next: (site) => world.chance(site) });
      const disk = await mount(world, simulated);
      await (await disk.openAppend("log/1", { synced: true })).append(ones(100));
      const { path, offset } = simulated.rot("log");
      expect(path).toBe("log/1");
      expect(simulated.read(path, true)[offset]).not.toBe(1);
      simulated.faults.unreadable.add("log/1");
      await expect(disk.read("log/1")).rejects.toMatchObject({ details: { errno: "EIO" } });
      simulated.faults.broken.add("log/");
      await expect(disk.openAppend("log/2", { synced: true })).rejects.toMatchObject({ code: "unavailable" });
      simulated.wipe();
      expect(simulated.list("log")).toEqual([]);
    });
  });
});
