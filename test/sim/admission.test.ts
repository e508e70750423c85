/** What db_switch takes, refuses and hands on, asked by its own messages. */

import { describe, expect, it } from "vitest";
import { profilePicture } from "../../actors/backends/profile_picture.ts";
import { publicKeys } from "../../actors/backends/public_keys.ts";
import { db_switch } from "../../actors/db_switch.ts";
import type { Admission } from "../../actors/ledger_messages.ts";
import { dataLimits } from "../../actors/limits.ts";
import { compareVersions, type Row, type RowKey, rowKey } from "../../actors/records.ts";
import type { AmendRequest } from "../../actors/shard_messages.ts";
import { encodeRow } from "../../actors/stores/row_codec.ts";
import { TwoSites, type WorldOptions } from "../../app/simulate/two_sites.ts";
import { NanoError } from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { ending } from "./hazards/at_rest.ts";
import { rowOf } from "./hazards/hazard.ts";
import { late_ledger } from "./hazards/late_messages.ts";

const key = "+4917601";

async function migrating<T>(
  scenario: (sites: TwoSites, world: World) => Promise<T>,
  options: WorldOptions = {},
): Promise<T> {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const sites = await TwoSites.start(world, options);
    await sites.copied();
    return scenario(sites, world);
  });
  return result;
}

function admissionOf(sites: TwoSites) {
  return sites.node.system.ref(db_switch, sites.name("A", "db_switch")).call;
}

function send(sites: TwoSites, message: unknown): void {
  sites.node.system.send(sites.name("A", "db_switch"), message);
}

it("two batches are between admission and commit at most; what comes meanwhile is one batch", async () => {
  const batches: number[] = [];
  const meanwhile = await migrating(
    async (sites, world) => {
      let late = true;
      const matches = (details: unknown): boolean => {
        batches.push((details as readonly Admission[]).length);
        return late;
      };
      sites.points.arm("A way to ledger", { count: Number.POSITIVE_INFINITY, matches });
      const { write } = admissionOf(sites);
      const writes: Promise<unknown>[] = [];
      for (const rows of [2, 1, 1, 2]) {
        for (let i = 0; i < rows; i++) {
          const row = { key: rowOf(`+49${writes.length}0`), value: Uint8Array.of(1), expiresAtMs: 0 };
          writes.push(write({ cohort: "device_platform/+49", rows: [row] }));
        }
        await world.sleep(10);
      }
      const sent = [...batches];
      late = false;
      sites.points.release("A way to ledger");
      await Promise.all(writes);
      return sent;
    },
    { replaced: { db_dirty_keys: late_ledger } },
  );
  expect({ meanwhile, batches }).toEqual({ meanwhile: [2, 1], batches: [2, 1, 3] });
});

it("messages that it does not know, and renewals of what the other side serves, change nothing", async () => {
  const terms = await migrating(async (sites, world) => {
    await sites.write("+3317601", "v");
    await sites.move("+33");
    const { term } = admissionOf(sites);
    const before = await term();
    for (const message of ["text", undefined, {}, { type: "breaker", open: true }]) send(sites, message);
    send(sites, { type: "renew", keys: [rowOf("+3317601")] });
    await world.sleep(100);
    return { before, after: await term(), dirty: sites.dirty(), versions: versions(sites, "+3317601") };
  });
  expect(terms.after).toBe(terms.before);
  expect(terms.dirty).toBe(0);
  const [here, there] = terms.versions;
  expect(here).toEqual(there);
});

function versions(sites: TwoSites, of: string) {
  return ["A", "B"].map((site) => sites.row(site, rowOf(of))?.version);
}

describe("an amend", () => {
  const request: AmendRequest = {
    cohort: "public_keys/+49",
    backend: "public_keys",
    key,
    operation: "one_time_keys.take",
    message: { requestId: "r" },
  };

  /** How it is answered, and whether db_switch outlives it. */
  function answered(asked: AmendRequest): Promise<{ code: string; lives: boolean }> {
    return migrating(async (sites, world) => {
      const { amend, term } = admissionOf(sites);
      const before = await term();
      const answer = await ending(amend(asked));
      await world.sleep(100);
      const code = answer instanceof NanoError ? answer.code : "";
      return { code, lives: (await term()) === before };
    });
  }

  it("that is refused is answered with why, and others go on", async () => {
    const unknown = { ...request, operation: "one_time_keys.burn" };
    expect(await answered(unknown)).toEqual({ code: "bad_argument", lives: true });
  });

  it("whose function fails in another way than by a refusal ends db_switch", async () => {
    expect(await answered({ ...request, message: undefined })).toEqual({ code: "crashed", lives: false });
  });

  it("whose rows can't be read in time is refused, and others go on", async () => {
    const given = await migrating(async (sites) => {
      const { amend, term } = admissionOf(sites);
      const before = await term();
      sites.mood("A").slowMs = 20_000;
      const waits = { timeoutMs: 60_000 };
      const answers = [
        ending(amend(request, waits)),
        ending(amend({ ...request, message: { requestId: "q" } }, waits)),
      ];
      const ended = await Promise.all(answers);
      sites.mood("A").slowMs = 0;
      const codes = ended.map((each) => (each instanceof NanoError ? each.code : each));
      return { codes, lives: (await term()) === before, later: await amend(request, waits) };
    });
    expect(given).toEqual({ codes: ["unavailable", "unavailable"], lives: true, later: null });
  });

  it("whose rows could not be written is not answered with what it would have been", async () => {
    const given = await migrating(async (sites, world) => {
      const { call } = await sites.access(publicKeys);
      await sites.alive(call.upload({ key, keys: [{ id: "k1", value: Uint8Array.of(1) }] }));
      sites.disk.faults.failingSyncs = 1;
      const refused = await ending(sites.alive(call.take({ key, requestId: "r1" })));
      await world.sleep(2 * dataLimits.logProbeMs);
      return [refused, await sites.alive(call.take({ key, requestId: "r2" }))];
    });
    expect(given).toEqual([
      expect.objectContaining({ code: "unavailable" }),
      expect.objectContaining({ id: "k1" }),
    ]);
  });
});

describe("a renewal", () => {
  async function renewed(sites: TwoSites, world: World, row: RowKey): Promise<Row[]> {
    const before = sites.row("A", row)?.version ?? [0, 0, 0];
    send(sites, { type: "renew", keys: [row] });
    const isNewer = (): boolean => compareVersions(sites.row("A", row)?.version ?? [0, 0, 0], before) > 0;
    await world.eventually("it has a newer version", isNewer, 1_000);
    await sites.settled();
    return ["A", "B"].flatMap((site) => sites.row(site, row) ?? []);
  }

  it("changes nothing of a row but its version, its expiry included", async () => {
    const row = rowKey(profilePicture.name, key);
    const value = Uint8Array.of(1, 2);
    const { rows, expiresAtMs } = await migrating(async (sites, world) => {
      const { call } = await sites.access(profilePicture);
      const expiresAtMs = Math.ceil(world.wallMs) + 60_000;
      await sites.alive(call.put({ key, value, expiresAtMs }));
      await sites.settled();
      return { rows: await renewed(sites, world, row), expiresAtMs };
    });
    expect(rows).toEqual(
      Array.from({ length: 2 }, () => ({ key: row, version: rows[0]?.version, value, expiresAtMs })),
    );
  });

  it("of a row that only the peer has makes a tombstone on both sides", async () => {
    const row = rowOf(key);
    const rows = await migrating((sites, world) => {
      const extra = { version: [0, 0, 1] as const, value: Uint8Array.of(1), expiresAtMs: 0 };
      sites.files("B").rows.set(row, encodeRow(extra));
      return renewed(sites, world, row);
    });
    const tombstone = { key: row, version: rows[0]?.version, value: null, expiresAtMs: 0 };
    expect(rows).toEqual([tombstone, tombstone]);
  });

  it("whose row can't be read ends db_switch, which says why and starts anew", async () => {
    const { said, terms } = await migrating(async (sites, world) => {
      const { term } = admissionOf(sites);
      const before = await term();
      sites.mood("A").slowMs = 20_000;
      send(sites, { type: "renew", keys: [rowOf(key)] });
      const crashes = () => world.logged.filter(({ fields }) => fields.definition === db_switch.name);
      await world.eventually("it ends", () => crashes().length > 0, 60_000);
      sites.mood("A").slowMs = 0;
      await sites.write(key, "v");
      return { said: crashes().map(({ message }) => message), terms: [before, await term()] as const };
    });
    expect(said).toEqual(["process crashed: get: no answer before its deadline"]);
    expect(terms[1]).toBeGreaterThan(terms[0]);
  });

  it("does not put back what a write replaced while the row was read", async () => {
    const shown = await migrating(async (sites) => {
      await sites.write(key, "v1");
      await sites.settled();
      const matches = (keys: unknown): boolean => (keys as RowKey[]).includes(rowOf(key));
      sites.points.arm("A store got", { matches });
      send(sites, { type: "renew", keys: [rowOf(key)] });
      await sites.reached("A store got");
      const written = await sites.write(key, "v2");
      sites.points.release("A store got");
      await sites.settled();
      return [written, sites.shown("A", key), sites.shown("B", key)];
    });
    expect(shown).toEqual([true, "v2", "v2"]);
  });
});
