/** Found by thinking about db_perror and what a swap carries over from it. */

import { db_compare } from "../../../actors/db_compare.ts";
import { db_perror } from "../../../actors/db_perror.ts";
import { dataLimits } from "../../../actors/limits.ts";
import type { TwoSites } from "../../../app/simulate/two_sites.ts";
import { NanoError } from "../../../src/index.ts";
import type { World } from "../../../src/simulation/index.ts";
import { decisionBecomes, ending, isUp, within } from "./at_rest.ts";
import { forgetful_perror, obedient_ledger, stubborn_replay, termless_ledger } from "./found_twins.ts";
import { hazard, judge, rowOf } from "./hazard.ts";
import { corrupt } from "./rogue.ts";

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
    points.arm("control compareAndSet", decisionBecomes("blocking"));
    const move = ending(sites.move("+49"));
    await sites.reached("control compareAndSet", 1, 30_000);
    points.arm("control get", { matches: (call) => (call as { key: string }).key === "shard/B/0" });
    sites.kill("B", "db_dirty_keys");
    await sites.reached("control get");
    // B's ledger is up again, its db_switch has not begun a term. The prefix swaps, and the node dies.
    points.arm("control wrote", decisionBecomes("swapped"));
    points.release("control compareAndSet");
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

hazard({
  number: "N8",
  title: "a mismatch that was marked when the node died is listed afterwards, and an operator can retry it",
  play: async (sites, world) => {
    await sites.copied();
    await sites.write(poison, "v");
    await sites.settled();
    corrupt(sites, "B", poison, "damaged");
    const { points } = sites;
    points.arm("A log append", { count: 2 });
    const compare = sites.node.system.ref(db_compare, sites.name("A", "db_compare"));
    const compared = ending(sites.alive(compare.call.validate({})));
    await sites.reached("A log append");
    points.release("A log append");
    await sites.reached("A log append");
    const wrong = sites.ledger("A")?.owner(row) === "perror" ? [] : ["the mismatch is not marked"];
    sites.crash();
    points.drop("A log append");
    await compared;
    await sites.restart();
    await isUp(sites, world, sites.name("A", "db_switch"));
    if ((await sites.alive(quarantine(sites).call.retry([row]))) !== 1) wrong.push("nobody can retry it");
    const healed = () => world.eventually("healed", () => sites.shown("B", poison) === "v", 10_000);
    wrong.push(...(await within("the key is healed", healed)));
    return judge(sites, [], wrong);
  },
  twin: { name: "a db_perror that knows what was logged only", replaced: { db_perror: forgetful_perror } },
});

hazard({
  number: "N9",
  title: "a full db_perror stops neither the shard nor the repair of what it has no room for",
  play: async (sites, world) => {
    await sites.copied();
    const unaccounted = sites.watchUnaccounted();
    const term = (): unknown => (sites.node.stateOf("A/0/db_switch") as { shardTerm: number }).shardTerm;
    const before = term();
    fill(sites);
    sites.weather("A").rejected.add(row);
    await sites.write(poison, "v");
    await world.sleep(2_000);
    const wrong: string[] = [];
    if (!(await sites.write("+4917299", "neighbour"))) wrong.push("a neighbour is refused");
    if (term() !== before) wrong.push("the shard has restarted");
    sites.weather("A").rejected.clear();
    return judge(sites, unaccounted, wrong);
  },
  twin: { name: "a db_replay that takes no refusal", replaced: { db_replay: stubborn_replay } },
});

/** A's db_perror has no room left. */
function fill(sites: TwoSites): void {
  const { entries } = sites.node.stateOf(sites.name("A", "db_perror")) as { entries: Map<string, unknown> };
  for (let i = 0; i < dataLimits.perrorPerShardMax; i++) entries.set(`${i}`, undefined);
}
