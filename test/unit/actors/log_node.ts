/** A simulated node with two dirty logs, the first with a mirror if asked for, above one disk that survives it. */

import { type DirtyLogOptions, db_dirty_log } from "../../../actors/db_dirty_log.ts";
import { db_log_mirror } from "../../../actors/db_log_mirror.ts";
import { MemoryControl } from "../../../actors/stores/memory_control.ts";
import { child, type Disk, type Ref, type supervisor } from "../../../src/index.ts";
import {
  SimulatedDisk,
  type SimulatedNode,
  type SimulatedThread,
  type World,
} from "../../../src/simulation/index.ts";

/** What the node has of its disk. */
interface Use {
  /** Paths of files that are open. */
  readonly open: Set<string>;
  readonly truncated: string[];
  /** Operations that are not answered. */
  underWay: number;
}

export interface Started {
  readonly node: SimulatedNode;
  readonly disk: SimulatedDisk;
  readonly control: MemoryControl;
  /** The disk as the node's last life has it. */
  readonly mounted: () => Disk;
  readonly use: Use;
  /** The supervisor of the logs. */
  readonly tree: Ref<typeof supervisor>;
  readonly log: () => Ref<typeof db_dirty_log>;
}

const folders = ["logs/1", "logs/2"];

export type More = Pick<DirtyLogOptions, "compactionBytes" | "mirror">;

const mirror = { site: "A", shards: [0], process: "mirror", processes: ["mirror"] } as const;

/** Of the first log. */
export const required: More = { mirror: { ...mirror, policy: "required" } };
export const degrading: More = { mirror: { ...mirror, policy: "degrade" } };

export async function supervised(
  node: SimulatedNode,
  { mirror, ...more }: More = {},
): Promise<Ref<typeof supervisor>> {
  const mirrorOptions = { folder: "mirror", durability: "group" } as const;
  if (mirror !== undefined) {
    await node.system.supervise({
      children: [child("mirror", db_log_mirror, mirrorOptions, { name: "mirror" })],
    });
  }
  const specs = folders.map((folder, i) => {
    const own = i === 0 ? mirror : undefined;
    const options: DirtyLogOptions = { folder, folders, durability: "group", mirror: own, ...more };
    return child(folder, db_dirty_log, options, { name: folder });
  });
  return node.system.supervise({ children: specs, intensity: 10 });
}

export async function started(world: World, more: More = {}): Promise<Started> {
  const disk = new SimulatedDisk("d", { next: (site) => world.chance(site) });
  const mounts: Disk[] = [];
  const use: Use = { open: new Set(), truncated: [], underWay: 0 };
  const control = new MemoryControl();
  const resources = (thread: SimulatedThread) => {
    mounts.unshift(noting(disk.mounted(thread), use));
    return { disk: mounts[0], control };
  };
  const node = await world.node("n", { resources });
  const tree = await supervised(node, more);
  const mounted = (): Disk => {
    const [last] = mounts;
    if (last === undefined) throw new Error("a node has a main thread");
    return last;
  };
  return { node, disk, control, mounted, use, tree, log: () => node.system.ref(db_dirty_log, "logs/1") };
}

/** The disk, which keeps account of what is open and under way. */
function noting(disk: Disk, use: Use): Disk {
  const noted = async <T>(operation: Promise<T>): Promise<T> => {
    use.underWay++;
    try {
      return await operation;
    } finally {
      use.underWay--;
    }
  };
  return {
    makeDirectory: (path) => noted(disk.makeDirectory(path)),
    list: (path) => noted(disk.list(path)),
    read: (path) => noted(disk.read(path)),
    truncate: (path, size) => {
      use.truncated.push(path);
      return noted(disk.truncate(path, size));
    },
    remove: (path) => noted(disk.remove(path)),
    openAppend: async (path, options) => {
      const file = await noted(disk.openAppend(path, options));
      use.open.add(path);
      return {
        path,
        get size() {
          return file.size;
        },
        append: (bytes) => noted(file.append(bytes)),
        sync: () => noted(file.sync()),
        close: async () => {
          await noted(file.close());
          use.open.delete(path);
        },
      };
    },
  };
}

/** The power goes and comes back. */
export async function powerCycle({ node, disk }: Started, more: More = {}): Promise<void> {
  node.crash();
  disk.crash();
  await node.restart();
  await supervised(node, more);
}

export async function namesOf(log: Ref<typeof db_dirty_log>, shard = 0): Promise<string[]> {
  const { marks } = await log.call.recover({ shard });
  return marks.map(({ key }) => key.split("\u0000")[1] ?? "").sort((a, b) => (a < b ? -1 : 1));
}
