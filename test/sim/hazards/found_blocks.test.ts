/** Found by thinking about who waits for whom: writers for a read-only prefix, readers for a site that is away. */

import { expect, it } from "vitest";
import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { groups } from "../../../actors/backends/groups.ts";
import { db_module, type ModuleOptions } from "../../../actors/db_module.ts";
import { db_store } from "../../../actors/db_store.ts";
import { TwoSites } from "../../../app/simulate/two_sites.ts";
import { type Definition, type Factory, NanoError, stickyQueue } from "../../../src/index.ts";
import { simulateSeed, type World } from "../../../src/simulation/index.ts";
import { atRest, decisionBecomes, ending, inEachOrder } from "./at_rest.ts";
import { waiting_module } from "./found_twins.ts";

const writers = 4;

/** Many more clients write to a prefix under its block than there are writers; others write to another prefix. */
async function writeBesideABlock(world: World, module: Definition<ModuleOptions>): Promise<string[]> {
  const sites = await TwoSites.start(world);
  await sites.copied();
  const unaccounted = sites.watchUnaccounted();
  const { shards, prefixes } = sites;
  const args: ModuleOptions = { backend: devicePlatform.name, shards, prefixes, sites: ["A", "B"] };
  const options = { args, workers: writers, routing: stickyQueue(), affinity: "key" } as const;
  const factory = await sites.node.system.startFactory("writers", module, options);
  sites.points.arm("control compareAndSet", decisionBecomes("swapped"));
  const move = ending(sites.move("+49"));
  await sites.reached("control compareAndSet", 1, 30_000);
  const order: string[] = [];
  const blocked = Array.from({ length: 10 * writers }, (_, i) =>
    put(sites, factory, `+4917${100 + (i % 20)}`, `${i}`, 30_000).then(() => order.push(`${i}`)),
  );
  await world.sleep(50);
  const findings: string[] = [];
  for (let i = 0; i < 10; i++) {
    const ended = await ending(put(sites, factory, `+33170${i}`, "v", 500));
    if (ended !== null) findings.push(`a write to another prefix ends with ${ended.code}`);
  }
  if (order.length > 0) findings.push("a write was acknowledged under the block");
  sites.points.release("control compareAndSet");
  await Promise.all([move, ...blocked]);
  for (let key = 0; key < 20; key++) {
    const shown = sites.shown("B", `+4917${100 + key}`);
    if (shown !== `${key + 20}`) findings.push(`a key's writes took place in another order: ${shown}`);
  }
  return [...findings, ...(await atRest(sites, unaccounted))];
}

async function put(
  sites: TwoSites,
  factory: Factory<Definition<ModuleOptions>>,
  key: string,
  value: string,
  timeoutMs: number,
): Promise<null> {
  const message = { key, value: new TextEncoder().encode(value) };
  return (await sites.alive(factory.call(key, "run", { operation: "put", message }, { timeoutMs }))) as null;
}

it("hazard N16: writers that meet a read-only prefix go on with others, and each key keeps its order", async () => {
  expect(await inEachOrder((world) => writeBesideABlock(world, db_module))).toEqual([]);
});

it("twin of hazard N16: writers that wait for the prefix keep all others waiting, and that is seen", async () => {
  const { result } = await simulateSeed({ seed: 1 }, (world) => writeBesideABlock(world, waiting_module));
  expect(result).toContainEqual(expect.stringContaining("a write to another prefix ends with"));
});

/** Site B's node is away; a client at A asks which groups a member is in. */
async function lookUpAlone(
  world: World,
  ask: (sites: TwoSites) => Promise<readonly string[]>,
): Promise<string[]> {
  const sites = await TwoSites.start(world, { nodesPerSite: 1 });
  const { call } = await sites.access(groups);
  await sites.alive(call.add({ key: "+4930", member: "+49171", value: new Uint8Array([1]) }));
  sites.siteNode("B1").crash({ powerLoss: false });
  const found = await ending(ask(sites));
  if (found instanceof NanoError) return [`refused: ${found.code}`];
  return found.join() === "+4930" ? [] : [`found: ${found.join()}`];
}

it("hazard N19: a lookup of a relation is answered while the other site is away", async () => {
  const ask = async (sites: TwoSites) => {
    const { call } = await sites.access(groups);
    return sites.alive(call.of({ member: "+49171" }));
  };
  expect(await inEachOrder((world) => lookUpAlone(world, ask))).toEqual([]);
});

it("twin of hazard N19: a lookup that needs both sites is refused, and that is seen", async () => {
  const both = async (sites: TwoSites): Promise<readonly string[]> => {
    const request = { backend: groups.name, sub: "+49171", limit: 10 };
    const asked = ["A", "B"].map((site) => {
      const { call } = sites.node.system.ref(db_store, sites.name(site, "db_store"));
      return sites.alive(call.lookup(request, { timeoutMs: 500 }));
    });
    return [...new Set((await Promise.all(asked)).flat())];
  };
  const { result } = await simulateSeed({ seed: 1 }, (world) => lookUpAlone(world, both));
  expect(result).toContainEqual(expect.stringContaining("refused"));
});
