/** db_log_mirror in the simulator: what it has durably, whom it listens to, and what it never writes over. */

import { expect, it } from "vitest";
import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import { child, crc32c, type Ref } from "../../../src/index.ts";
import {
  SimulatedDisk,
  type SimulatedNode,
  simulateSeed,
  type World,
} from "../../../src/simulation/index.ts";
import { account, mark, start } from "./log_rows.ts";

const folder = "mirror";

interface Started {
  readonly node: SimulatedNode;
  readonly disk: SimulatedDisk;
  readonly mirror: () => Ref<typeof db_log_mirror>;
  /** The power goes and comes back. */
  readonly powerCycle: () => Promise<void>;
}

async function started(world: World): Promise<Started> {
  const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
  const node = await world.node("n", { resources: (thread) => ({ disk: disk.mounted(thread) }) });
  const spec = child("mirror", db_log_mirror, { folder, durability: "group" }, { name: "mirror" });
  const supervise = () => node.system.supervise({ children: [spec] });
  await supervise();
  const powerCycle = async (): Promise<void> => {
    node.crash();
    disk.crash();
    await node.restart();
    await supervise();
  };
  return { node, disk, mirror: () => node.system.ref(db_log_mirror, "mirror"), powerCycle };
}

/** A whole account of shard 0 under this term, with these keys. */
async function filled({ mirror }: Started, term: number, ...names: string[]): Promise<void> {
  await mirror().call.begin({ epoch: term });
  const marks = names.map((name) => mark(name, 1, 0, term));
  await mirror().call.append({ epoch: term, records: [account(term), ...marks, start(term)] });
  await mirror().call.complete({ epoch: term });
}

async function known({ mirror }: Started): Promise<unknown> {
  const { shardTerm, marks } = await mirror().call.recover({ shard: 0 });
  return [shardTerm, ...marks.map(({ key }) => key.split("\u0000")[1] ?? "")];
}

it("has what it answered, whatever dies, and one file", async () => {
  for (let seed = 0; seed < 10; seed++) {
    await simulateSeed({ seed }, async (world) => {
      const of = await started(world);
      await filled(of, 1, "a");
      await filled(of, 2, "a", "b");
      await of.mirror().call.append({ epoch: 2, records: [mark("c", 1, 0, 2)] });
      of.mirror()
        .call.append({ epoch: 2, records: [mark("d", 1, 0, 2)] })
        .catch(() => undefined);
      await world.sleep(world.chance("when"));
      await of.powerCycle();
      expect([
        [2, "a", "b", "c"],
        [2, "a", "b", "c", "d"],
      ]).toContainEqual(await known(of));
      expect(of.disk.list(folder)).toHaveLength(1);
    });
  }
});

it("keeps the account that it has until it holds a whole new one", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world);
    await filled(of, 1, "a");
    await of.mirror().call.begin({ epoch: 2 });
    await of.mirror().call.append({ epoch: 2, records: [account(2), mark("b", 1, 0, 2)] });
    await of.powerCycle();
    expect(await known(of)).toEqual([1, "a", "b"]);
  });
});

it("keeps one unfinished account at most, however often a log that can't go on begins", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world);
    await filled(of, 1, "a");
    for (let epoch = 2; epoch < 20; epoch++) {
      await of.mirror().call.begin({ epoch });
      await of.mirror().call.append({ epoch, records: [account(epoch), mark("b", 1, 0, epoch)] });
    }
    expect(of.disk.list(folder)).toHaveLength(2);
    await of.mirror().call.begin({ epoch: 20 });
    await of.powerCycle();
    expect(await known(of)).toEqual([1, "a"]);
  });
});

it("listens to the newest epoch only, and after a write that failed to none until another begins", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world);
    await filled(of, 3, "a");
    const { call } = of.mirror();
    await expect(call.begin({ epoch: 2 })).rejects.toMatchObject({ code: "fenced" });
    const old = { epoch: 2, records: [mark("old", 1, 0, 3)] };
    await expect(call.append(old)).rejects.toMatchObject({ code: "fenced" });
    of.disk.faults.failingSyncs = 1;
    const failed = { epoch: 3, records: [mark("b", 1, 0, 3)] };
    await expect(call.append(failed)).rejects.toMatchObject({ code: "unavailable" });
    await expect(call.append(failed)).rejects.toMatchObject({ code: "fenced" });
    await filled(of, 4, "c");
    expect(await known(of)).toEqual([4, "c"]);
  });
});

it("does not start on a mirror of another format, and does not write over it", async () => {
  await simulateSeed({ seed: 1 }, async (world) => {
    const of = await started(world);
    await filled(of, 1, "a");
    const path = `${folder}/${of.disk.list(folder)[0]}`;
    of.disk.rot(path, { offset: 7, bit: 0 });
    // The checksum of a header with that format, as its version writes it.
    const header = of.disk.read(path).subarray(0, 8);
    const wanted = new DataView(new ArrayBuffer(4));
    wanted.setUint32(0, crc32c(header));
    for (let byte = 0; byte < 4; byte++) {
      const change = (of.disk.read(path)[8 + byte] ?? 0) ^ wanted.getUint8(byte);
      for (let bit = 0; bit < 8; bit++) if (change & (1 << bit)) of.disk.rot(path, { offset: 8 + byte, bit });
    }
    const before = of.disk.read(path);
    await expect(of.powerCycle()).rejects.toMatchObject({ message: expect.stringContaining("format 3") });
    expect(of.disk.read(path)).toEqual(before);
    expect(of.disk.list(folder)).toHaveLength(1);
  });
});
