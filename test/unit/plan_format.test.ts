/** What `nanoactor simulate --replay` takes: every plan that is drawn, and nothing that would break its play. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawPlan, scenarios } from "../../app/simulate/draw.ts";
import { faultsOf, operationsOf } from "../../app/simulate/plan.ts";
import { swarmPlan } from "../../app/simulate/plan_format.ts";
import { readRegression } from "../../app/simulate/regression.ts";

// Tests run compiled, from dist/test/unit; the files are where they were written.
const kept = fileURLToPath(new URL("../../../test/sim/regressions/", import.meta.url));

const plan = {
  seed: 1,
  order: "fifo",
  topology: { nodesPerSite: 2, shards: 2, threads: 0 },
  settings: { tuning: {}, routing: "sticky_queue", writers: 1, skewMs: {}, reversed: [] },
  clients: [{ node: "A1", backend: "device_platform" }],
  decisions: [
    { atMs: 5, type: "get", client: 0, key: "+49100" },
    { atMs: 9, type: "kill", site: "A", shard: 1, process: "db_switch" },
  ],
};
const regression = { format: 1, plan, faults: ["it broke"] };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "nanoactor-plans-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function reading(text: string) {
  const path = join(folder, "plan.json");
  writeFileSync(path, text);
  return () => readRegression(path);
}

/** `change` makes a copy wrong in one place. */
function wrong(change: (copy: typeof regression) => void) {
  const copy = structuredClone(regression);
  change(copy);
  return reading(JSON.stringify(copy));
}

describe("a plan in a file", () => {
  it("is taken as the swarm draws it, with each kind of decision", () => {
    const types = new Set<string>();
    for (const size of Object.values(scenarios)) {
      for (let seed = 1; seed <= 100; seed++) {
        const drawn = drawPlan(seed, size);
        const written: unknown = JSON.parse(JSON.stringify(drawn));
        expect(swarmPlan.parse(written)).toEqual(written);
        for (const { type } of [...operationsOf(drawn), ...faultsOf(drawn)]) types.add(type);
      }
    }
    expect(types.size).toBe(30);
  });

  it("is taken as it was kept", () => {
    const files = readdirSync(kept).filter((name) => name.endsWith(".json"));
    expect(files.length).toBeGreaterThan(3);
    for (const name of files) {
      const { plan: read } = readRegression(join(kept, name));
      expect(read).toMatchObject(JSON.parse(readFileSync(join(kept, name), "utf8")).plan);
    }
  });

  it.each<[string, string, (copy: typeof regression) => void]>([
    [
      "plan.decisions.0.atMs",
      "a time before the beginning",
      ({ plan }) => Object.assign(plan.decisions[0] ?? {}, { atMs: -1 }),
    ],
    [
      "plan.decisions.1.process",
      "an unknown process",
      ({ plan }) => Object.assign(plan.decisions[1] ?? {}, { process: "db_none" }),
    ],
    [
      "plan.decisions.1.shard",
      "a shard that is not there",
      ({ plan }) => Object.assign(plan.decisions[1] ?? {}, { shard: 2 }),
    ],
    [
      "plan.decisions.0.client",
      "a client that is not there",
      ({ plan }) => Object.assign(plan.decisions[0] ?? {}, { client: 1 }),
    ],
    [
      "plan.clients.0.node",
      "a node that is not there",
      ({ plan }) => Object.assign(plan.clients[0] ?? {}, { node: "C1" }),
    ],
    [
      "plan.decisions.0.type",
      "an unknown type",
      ({ plan }) => Object.assign(plan.decisions[0] ?? {}, { type: "gett" }),
    ],
    [
      "plan.settings.tuning.leasMs",
      "an unknown name",
      ({ plan }) => Object.assign(plan.settings.tuning, { leasMs: 1 }),
    ],
    ["format", "another format", (copy) => Object.assign(copy, { format: 2 })],
  ])("names %s: %s", (field, _, change) => {
    expect(wrong(change)).toThrow(
      expect.objectContaining({ code: "config", details: expect.objectContaining({ field }) }),
    );
  });

  it("names the file that is no JSON, or is not there", () => {
    expect(reading("{")).toThrow(/plan\.json: --replay: .*JSON/);
    expect(() => readRegression(join(folder, "none.json"))).toThrow(/none\.json: --replay: .*ENOENT/);
  });
});
