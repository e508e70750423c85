/**
 * A row of the hazard table as two kinds of tests: the named interleaving, played through pause points against the
 * production actors, after which every oracle must hold; and its negative twin, the same play with the row's mechanism
 * switched off, after which at least one oracle must fail. A twin that passes says that the play proves nothing.
 */

import { describe, expect, it } from "vitest";
import { devicePlatform } from "../../../actors/backends/device_platform.ts";
import { type Row, type RowKey, rowKey } from "../../../actors/records.ts";
import { TwoSites, type WorldOptions } from "../../../app/simulate/two_sites.ts";
import { SimulationError, simulateSeed, type World } from "../../../src/simulation/index.ts";

/** What the oracles found; all empty when the promises were kept. */
export interface Findings {
  /** I1: keys that differed at some instant with neither mark nor range. */
  readonly unaccounted: readonly RowKey[];
  /** Acknowledged writes that the authority does not show. */
  readonly lost: readonly string[];
  /** I5: keys that differ once everything is quiet. */
  readonly differing: readonly RowKey[];
  /** Marks and ranges that never went away. */
  readonly dirty: number;
  /** What the play itself says should not be. */
  readonly wrong: readonly string[];
}

export const clean: Findings = { unaccounted: [], lost: [], differing: [], dirty: 0, wrong: [] };

/** A row of docs/reference/hazards.md: of the table, of the routing (R), or one that was found here (N). */
export type HazardNumber = number | `R${number}` | `N${number}`;

/**
 * Tests start with `hazard 13: ` and their twins with `twin of hazard 13: `: by these names the table of
 * `npm run hazards` finds them.
 */
export interface Hazard {
  readonly number: HazardNumber;
  /** What holds in spite of it: a sentence that could be false. */
  readonly title: string;
  readonly options?: WorldOptions;
  /** Of random order; fewer for plays of many events. */
  readonly seeds?: readonly number[];
  /** Plays the interleaving and ends with `judge`. */
  readonly play: (sites: TwoSites, world: World) => Promise<Findings>;
  /** `name` says what is missing. */
  readonly twin: {
    readonly name: string;
    readonly replaced?: NonNullable<WorldOptions["replaced"]>;
    readonly replacedCoordinators?: NonNullable<WorldOptions["replacedCoordinators"]>;
  };
}

/** Of `random` order, where chance picks the next event of an instant. The points pin the interleaving in each. */
const fourSeeds = [1, 2, 3, 4];

export function hazard({ number, title, options = {}, seeds = fourSeeds, play, twin }: Hazard): void {
  const run = async (seed: number, order: "fifo" | "random", world: WorldOptions) => {
    const report = await simulateSeed({ seed, order }, async (simulated) =>
      play(await TwoSites.start(simulated, world), simulated),
    );
    return report.result;
  };
  describe(`hazard ${number}: ${title}`, () => {
    it("holds in fifo order", async () => {
      expect(await run(1, "fifo", options)).toEqual(clean);
    });

    it.each(seeds)("holds in random order, seed %i", async (seed) => {
      expect(await run(seed, "random", options)).toEqual(clean);
    });
  });

  it(`twin of hazard ${number}: caught with ${twin.name} (${title})`, async () => {
    const { replaced = {}, replacedCoordinators = {} } = twin;
    const broken = {
      ...options,
      replaced: { ...options.replaced, ...replaced },
      replacedCoordinators: { ...options.replacedCoordinators, ...replacedCoordinators },
    };
    expect(await run(1, "fifo", broken)).not.toEqual(clean);
  });
}

/** Lets everything settle and asks all oracles. `unaccounted`: what `watchUnaccounted` has gathered. */
export async function judge(
  sites: TwoSites,
  unaccounted: readonly RowKey[],
  wrong: readonly string[] = [],
): Promise<Findings> {
  try {
    await sites.settled(10_000);
  } catch (error) {
    if (!(error instanceof SimulationError)) throw error;
  }
  return {
    unaccounted: [...new Set([...unaccounted, ...sites.unaccounted()])],
    lost: sites.lost(),
    differing: sites.differing(),
    dirty: sites.dirty(),
    wrong,
  };
}

/** The row of a key that clients write by `sites.write`. */
export function rowOf(key: string): RowKey {
  return rowKey(devicePlatform.name, key);
}

/** For pause points of an apply: it carries this key, with this value (null: its tombstone) unless any will do. */
export function carrying(key: string, value?: string | null) {
  return (details: unknown): boolean => {
    const { rows } = details as { readonly rows: readonly Row[] };
    const row = rows.find((each) => each.key === rowOf(key));
    if (row === undefined) return false;
    if (value === undefined || row.value === null) return value === undefined || value === null;
    return new TextDecoder().decode(row.value) === value;
  };
}
