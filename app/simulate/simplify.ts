/** Plans that are simpler than a given one in one way each, the simplest first: what the shrinker tries. */

import type { SwarmPlan } from "./plan.ts";

/** Of what is drawn during a play. */
const otherSeeds = 10;

export function* simplify(plan: SwarmPlan): Iterable<SwarmPlan> {
  const { topology, settings } = plan;
  if (topology.threads > 0) yield { ...plan, topology: { ...topology, threads: 0 } };
  if (topology.shards > topology.nodesPerSite) {
    yield { ...plan, topology: { ...topology, shards: topology.nodesPerSite } };
  }
  if (topology.nodesPerSite > 1) yield onOneNodeEach(plan);
  if (plan.order !== "fifo") yield { ...plan, order: "fifo" };
  if (settings.reversed.length > 0) yield { ...plan, settings: { ...settings, reversed: [] } };
  if (Object.keys(settings.skewMs).length > 0) yield { ...plan, settings: { ...settings, skewMs: {} } };
  const { mirror, ...unmirrored } = settings;
  if (mirror !== undefined) yield { ...plan, settings: unmirrored };
  if (settings.writers > 1) yield { ...plan, settings: { ...settings, writers: 1 } };
  for (const name of Object.keys(settings.tuning)) {
    const { [name as keyof typeof settings.tuning]: _, ...tuning } = settings.tuning;
    yield { ...plan, settings: { ...settings, tuning } };
  }
  // What no decision can be taken out of without losing it may be found with one less by other delays.
  for (let seed = plan.seed + 1; seed <= plan.seed + otherSeeds; seed++) {
    for (const out of plan.decisions.keys())
      yield { ...plan, seed, decisions: plan.decisions.filter((_, place) => place !== out) };
  }
}

/** Everything that was on a site's second node is on its first. */
function onOneNodeEach(plan: SwarmPlan): SwarmPlan {
  const moved = JSON.parse(JSON.stringify(plan).replaceAll(/"([AB])\d+"/g, '"$11"')) as SwarmPlan;
  return { ...moved, topology: { ...moved.topology, nodesPerSite: 1, shards: 1 } };
}
