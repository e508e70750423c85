/**
 * The rows that the remote side will always reject: named by key, drawn from the seed, all there from the
 * start, so that the copy meets each of them. None has the prefix that is reversed and moved again.
 */

import { assert } from "../../src/index.ts";
import { Chance, streams } from "./chance.ts";
import { type Backend, backendNames, type Population, type RowNumber } from "./population.ts";

/**
 * One-time keys are left out: a take chooses its row by itself, so no write could be aimed at a poison one.
 */
const poisonable: readonly Backend[] = backendNames.filter((backend) => backend !== "public_keys");

const attemptsMax = 100_000;

/** `count` different rows of the population. */
export function drawPoison(population: Population, count: number, sparedPrefix: string): RowNumber[] {
  const backends = poisonable.filter((backend) => population.has(backend));
  const chance = new Chance(population.seed, streams.poison);
  const rows = new Set<RowNumber>();
  for (let attempt = 0; rows.size < count && backends.length > 0; attempt++) {
    assert(attempt < attemptsMax, "the population has room for the poison keys");
    const backend = backends[chance.below(backends.length)];
    const user = chance.below(population.users.length);
    if (backend === undefined || population.number(user).startsWith(sparedPrefix)) continue;
    if (backend === "groups" && population.groupCount(user) === 0) continue;
    const unit = population.unit(user, backend);
    const row = unit.first + chance.below(Math.max(1, unit.count));
    if (unit.count > 0 && population.presentAtStart(unit, row)) rows.add(row);
  }
  return [...rows];
}
