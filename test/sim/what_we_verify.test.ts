/** What a comparison finds and what it does not: the rows of docs/reference/what-we-verify.md that no hazard plays. */

import { expect, it } from "vitest";
import { db_perror } from "../../actors/db_perror.ts";
import { type Row, type RowKey, rowKey } from "../../actors/records.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites } from "../../app/simulate/two_sites.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";

const key = "+49171";
const row: RowKey = rowKey("device_platform", key);

/** One key is at both sides, was compared, and nothing is dirty. */
async function played(play: (sites: TwoSites, world: World) => Promise<void>): Promise<void> {
  await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world);
    await sites.write(key, "v");
    await sites.copied();
    await play(sites, world);
  });
}

/** Behind everybody's back. */
function tamper(sites: TwoSites, site: string, change: (stored: Row) => Row | undefined): void {
  const stored = sites.row(site, row);
  if (stored === undefined) throw new Error(`${site} has no such row`);
  const changed = change(stored);
  if (changed === undefined) sites.files(site).rows.delete(row);
  else sites.files(site).rows.set(row, encodeRow(changed));
}

function withValue(text: string): (stored: Row) => Row {
  return (stored) => ({ ...stored, value: new TextEncoder().encode(text) });
}

async function mismatches(sites: TwoSites, changedOnly = false): Promise<number> {
  const passes = await sites.alive(sites.sites.compare({ changedOnly }));
  return passes.reduce((sum, pass) => sum + pass.mismatches, 0);
}

async function retry(sites: TwoSites, world: World): Promise<void> {
  await sites.alive(sites.node.system.ref(db_perror, sites.name("A", "db_perror")).call.retry([row]));
  await world.sleep(100);
  await sites.settled();
}

it("a row that the peer has lost is found", async () => {
  await played(async (sites) => {
    tamper(sites, "B", () => undefined);
    expect(await mismatches(sites)).toBe(1);
  });
});

it("a tombstone at the peer where a row should be is found", async () => {
  await played(async (sites) => {
    tamper(sites, "B", (stored) => ({ ...stored, value: null }));
    expect(await mismatches(sites)).toBe(1);
  });
});

it("an expiry that differs is found", async () => {
  await played(async (sites) => {
    tamper(sites, "B", (stored) => ({ ...stored, expiresAtMs: Number.MAX_SAFE_INTEGER }));
    expect(await mismatches(sites)).toBe(1);
  });
});

it("an older row at the peer, whose mark was lost, is found", async () => {
  await played(async (sites) => {
    const before = sites.files("B").rows.get(row);
    await sites.write(key, "w");
    await sites.settled();
    if (before === undefined) throw new Error("B had no row");
    sites.files("B").rows.set(row, before);
    expect(await mismatches(sites, true)).toBe(1);
  });
});

it("a row that no version of this software can read fails the comparison: it is never taken for equal", async () => {
  await played(async (sites) => {
    const bytes = sites.files("B").rows.get(row)?.slice() ?? new Uint8Array();
    bytes[0] = 9;
    sites.files("B").rows.set(row, bytes);
    await expect(mismatches(sites)).rejects.toMatchObject({ code: "newer_format" });
  });
});

it("a key in db_perror differs and is known to: it is not reported again", async () => {
  await played(async (sites, world) => {
    sites.weather("A").rejected.add(row);
    await sites.write(key, "poison");
    await world.eventually("it is quarantined", () => sites.ledger("A")?.counts().perror === 1, 10_000);
    const passes = await sites.alive(sites.sites.compare());
    expect(passes.map(({ accounted }) => accounted)).toContain(1);
    expect(passes.map((pass) => pass.mismatches)).not.toContain(1);
  });
});

it("a difference does not say which side is right: a repair copies the row of the authority", async () => {
  await played(async (sites, world) => {
    tamper(sites, "A", withValue("rogue"));
    expect(await mismatches(sites)).toBe(1);
    await retry(sites, world);
    expect(sites.shown("B", key)).toBe("rogue");
  });
});

it("the same wrong bytes on both sides are equal", async () => {
  await played(async (sites) => {
    for (const site of ["A", "B"]) tamper(sites, site, withValue("rogue"));
    expect(await mismatches(sites)).toBe(0);
  });
});

it("a comparison of what changed does not see a rogue write, one of every row does", async () => {
  await played(async (sites) => {
    tamper(sites, "B", withValue("rogue"));
    expect(await mismatches(sites, true)).toBe(0);
    expect(await mismatches(sites)).toBe(1);
  });
});

it("a move does not see a rogue write after its comparison: its report says how long ago that was", async () => {
  await played(async (sites, world) => {
    sites.points.arm("control compareAndSet", {
      matches: (call) => (call as { value?: { state?: string } }).value?.state === "blocking",
    });
    const moved = sites.move("+49");
    await sites.reached("control compareAndSet");
    await world.sleep(300);
    tamper(sites, "B", withValue("rogue"));
    sites.points.release("control compareAndSet");
    const report = await moved;
    expect(report.outcome).toBe("swapped");
    expect(report.compared?.fullAgeMs).toBeGreaterThan(300);
    // The new side's row is the truth now; that the sides differ is found afterwards.
    expect(await mismatches(sites)).toBe(1);
  });
});

it("a version that was raised at the peer is not seen; the next write meets it and is quarantined", async () => {
  await played(async (sites, world) => {
    tamper(sites, "B", (stored) => ({
      ...stored,
      version: [stored.version[0], stored.version[1] + 1_000, 1],
    }));
    expect(await mismatches(sites)).toBe(0);
    await sites.write(key, "w");
    await world.eventually("it is quarantined", () => sites.ledger("A")?.counts().perror === 1, 10_000);
    expect(sites.unaccounted()).toEqual([]);
  });
});

it("what differs only after both rows have expired is equal", async () => {
  await played(async (sites, world) => {
    const expiresAtMs = world.nowMs + 50;
    for (const site of ["A", "B"]) tamper(sites, site, (stored) => ({ ...stored, expiresAtMs }));
    tamper(sites, "B", withValue("rogue"));
    await world.sleep(100);
    expect(await mismatches(sites)).toBe(0);
  });
});
