/** Found by thinking about db_perror and what a swap carries over from it. */

import { db_perror } from "../../../actors/db_perror.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { decisionBecomes, ending, isUp, within } from "./at_rest.ts";
import { obedient_ledger, termless_ledger } from "./found_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";

const poison = "+4917201";
const row = rowOf(poison);

/** B has v1 of the poison key and rejects v2, which is in A's db_perror now. */
async function withPoison(sites: TwoSites, world: World): Promise<void> {
  await sites.copied();
  await sites.write(poison, "v1");
  await sites.settled();
  sites.weather("A").rejected.add(row);
  await sites.write(poison, "v2");
  await world.eventually("it is quarantined", () => sites.ledger("A")?.owner(row) === "perror", 10_000);
}

function quarantine(sites: TwoSites) {
  return sites.node.system.ref(db_perror, sites.name("A", "db_perror"));
}

/** What a client gets of a key: its value, or the code of the refusal. */
async function answerFor(sites: TwoSites, key: string): Promise<string | null> {
  const answer = await ending(sites.read(key));
  return answer instanceof NanoError ? answer.code : answer;
}

hazard({
  number: "N3",
  title: "a quarantined key that an operator retries where it is not served any more stays accounted for",
  play: async (sites, world) => {
    await withPoison(sites, world);
    const unaccounted = sites.watchUnaccounted();
    await ending(sites.move("+49"));
    const wrong = (await answerFor(sites, poison)) === "held" ? [] : ["the new side does not hold the key"];
    if ((await sites.alive(quarantine(sites).call.retry([row]))) !== 0) wrong.push("A retries what B serves");
    // A hears of B's next move, and has the prefix again.
    await ending(sites.move("+49", "B", "A"));
    if ((await sites.read(poison)) !== "v2") wrong.push("A does not show what was acknowledged there");
    if (sites.ledger("A")?.account(row) !== "perror") wrong.push("A has forgotten that B lacks v2");
    sites.weather("A").rejected.clear();
    if ((await sites.alive(quarantine(sites).call.retry([row]))) !== 1)
      wrong.push("A does not retry its own");
    const healed = () => world.eventually("healed", () => sites.shown("B", poison) === "v2", 10_000);
    wrong.push(...(await within("the key is healed", healed)));
    return judge(sites, unaccounted, wrong);
  },
  twin: {
    name: "a ledger that gives up whatever it is told to",
    replaced: { db_dirty_keys: obedient_ledger },
  },
});

hazard({
  number: "N4",
  title: "a key that is held while the new side's db_switch starts is held after a crash, too",
  play: async (sites, world) => {
    await withPoison(sites, world);
    const unaccounted = sites.watchUnaccounted();
    const { points } = sites;
    points.arm("control get", { matches: (call) => (call as { key: string }).key === "shard/B/0" });
    sites.kill("B", "db_dirty_keys");
    await sites.reached("control get");
    // B's ledger is up again, its db_switch has not begun a term. The prefix swaps, and the node dies.
    points.arm("control wrote", decisionBecomes("swapped"));
    const move = ending(sites.move("+49"));
    await sites.reached("control wrote", 1, 30_000);
    sites.crash();
    await move;
    for (const point of ["control get", "control wrote"]) points.drop(point);
    await sites.restart();
    await isUp(sites, world, sites.name("B", "db_switch"));
    const answer = await answerFor(sites, poison);
    const wrong = answer === "held" ? [] : [`the new side answers ${answer} for a key whose v2 it lacks`];
    sites.weather("A").rejected.clear();
    await ending(sites.move("+49", "B", "A"));
    await sites.write(poison, "v3");
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a ledger that logs without a term", replaced: { db_dirty_keys: termless_ledger } },
});
