/** Found by thinking about who waits while a prefix is read-only: a factory's workers, and everybody behind them. */

import { expect, it } from "vitest";
import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { db_module, type ModuleOptions } from "../../../actors/db_module.ts";
import { TwoSites } from "../../../app/simulate/two_sites.ts";
import { type Definition, type Factory, stickyQueue } from "../../../src/index.ts";
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
  return (await sites.alive(
    factory.call(key, "run", { key, operation: "put", message }, { timeoutMs }),
  )) as null;
}

it("hazard N16: writers that meet a read-only prefix go on with others, and each key keeps its order", async () => {
  expect(await inEachOrder((world) => writeBesideABlock(world, db_module))).toEqual([]);
});

it("twin of hazard N16: writers that wait for the prefix keep all others waiting, and that is seen", async () => {
  const { result } = await simulateSeed({ seed: 1 }, (world) => writeBesideABlock(world, waiting_module));
  expect(result).toContainEqual(expect.stringContaining("a write to another prefix ends with"));
});
