/** A node that is cut off from the others and from control, and a client that still asks it. */

import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import type { TwoSites, WorldOptions } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import { rowOf } from "./hazard.ts";

export const leaseMs = 300;

/** Two nodes a site: shard 0 lives on A1 and B1, shard 1 on A2 and B2. */
export const clustered: WorldOptions = {
  nodesPerSite: 2,
  shards: 2,
  tuning: { leaseMs },
  // Each worker finds out for itself that a site is silent.
  workers: { writers: 1 },
};

/** A key of +49 whose shard is on a site's second node. */
export function keyOfSecondNode(sites: TwoSites): string {
  for (let n = 100; ; n++) if (sites.shardOf(rowOf(`+49${n}`)) === 1) return `+49${n}`;
}

export function cutOff(sites: TwoSites, node: string, cut: "drop" | "open"): void {
  const { network } = sites.world;
  for (const other of sites.nodes) {
    if (other.name === node) continue;
    network.way(node, other.name).cut = cut;
    network.way(other.name, node).cut = cut;
  }
  sites.siteNode(node).controlWay.cut = cut === "drop";
}

/** What a client of that node is shown, or the code of its refusal. */
export async function readAt(sites: TwoSites, node: string, key: string): Promise<string | null> {
  const asked = sites.siteNode(node);
  const { call } = await asked.access(devicePlatform);
  try {
    const bytes = await asked.alive(call.get({ key }, { timeoutMs: 500 }));
    return bytes === null ? null : new TextDecoder().decode(bytes);
  } catch (error) {
    if (!(error instanceof NanoError)) throw error;
    return `refused: ${error.code}`;
  }
}
