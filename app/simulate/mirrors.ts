/**
 * Mirrors for the dirty logs of a play: each node's are on the next node of its site, or, where it has no other, on the
 * other site's, whose disk is another one.
 */

import { db_log_mirror } from "../../actors/db_log_mirror.ts";
import type { MirrorPolicy } from "../../actors/log_mirror.ts";
import type { Site } from "../../actors/records.ts";
import { child } from "../../src/index.ts";
import type { Topology } from "./plan.ts";
import { nodeNames, type SiteNodeOptions, siteNames } from "./site_node.ts";

/** Of a node's own logs; the name says where it is and what it mirrors. */
function mirrorName(place: string, site: Site, node: string, thread: number): string {
  return `mirror@${place}/${site} of ${node} on ${thread}`;
}

export function mirrorsOf(
  topology: Topology,
  policy: MirrorPolicy,
): Required<Pick<SiteNodeOptions, "mirror" | "beforeSites">> {
  const nodes = nodeNames(topology.nodesPerSite);
  const placeOf = (node: string): string => {
    const site = nodes.filter((each) => each.startsWith(node.slice(0, 1)));
    const around = site.length > 1 ? site : nodes;
    return around[(around.indexOf(node) + 1) % around.length] ?? node;
  };
  const threads = Array.from({ length: topology.threads + 1 }, (_, thread) => thread);
  return {
    mirror: (site, node) => ({
      type: "node",
      policy,
      process: (thread) => mirrorName(placeOf(node), site, node, thread),
    }),
    beforeSites: async (system, here) => {
      const mirrored = nodes.filter((node) => placeOf(node) === here);
      const children = mirrored.flatMap((node) =>
        siteNames.flatMap((site) =>
          threads.map((thread) => {
            const name = mirrorName(here, site, node, thread);
            const folder = `mirror/${site} of ${node} on ${thread}`;
            return child(name, db_log_mirror, { folder, durability: "group" }, { name });
          }),
        ),
      );
      await system.supervise({ children }, { name: "mirrors" });
    },
  };
}
