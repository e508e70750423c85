/** A simulated disk in a test: as one thread of a node has it. */

import type { Disk } from "../../src/index.ts";
import type { SimulatedDisk, World } from "../../src/simulation/index.ts";

/** The disk as the main thread of a new node has it. */
export async function mount(world: World, simulated: SimulatedDisk): Promise<Disk> {
  const mounted: Disk[] = [];
  await world.node("n", {
    resources: (thread) => {
      mounted.push(simulated.mounted(thread));
      return {};
    },
  });
  const [disk] = mounted;
  if (disk === undefined) throw new Error("a node has a main thread");
  return disk;
}
