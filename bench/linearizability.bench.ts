/**
 * How long does a check for linearizability take? The history of one seed of the swarm: 200 operations of 5 clients
 * on 20 keys, 20 of them unknown, of which half took effect. And of the same size what is hard: all on one key, and on
 * one key with one wrong read near its end, so that every way has to be tried.
 */

import { SeededStreams } from "../src/base/seeded_streams.ts";
import { checkRegister, type RegisterOperation, type Value } from "../src/simulation/index.ts";
import type { Bench, BenchOptions, BenchResult, BenchRow } from "./result.ts";

export const bench: Bench = {
  name: "linearizability",
  question: "How long does a check of 200 operations, 20 of them unknown, take?",
  notQuick: "it has no target",
  run: async (options) => run(options),
};

interface Shape {
  readonly name: string;
  readonly keys: number;
  readonly wrong: boolean;
}

const shapes: readonly Shape[] = [
  { name: "20 keys", keys: 20, wrong: false },
  { name: "1 key", keys: 1, wrong: false },
  { name: "1 key, a wrong read", keys: 1, wrong: true },
];

const operations = 200;
const unknownShare = 0.1;
const clients = 5;

function run({ quick }: BenchOptions): BenchResult {
  const repeats = quick ? 2 : 5;
  const seeds = quick ? 10 : 100;
  const failures: string[] = [];
  const facts: Record<string, number> = {};
  const rows = shapes.map((shape): BenchRow => {
    const values = Array.from({ length: repeats }, (_, repeat) => {
      const worlds = Array.from({ length: seeds }, (_, i) => played(shape, repeat * seeds + i));
      let undecided = 0;
      const begin = process.cpuUsage();
      for (const history of worlds.flat()) {
        const verdict = checkRegister(history);
        if (!verdict.ok && verdict.undecided) undecided++;
        else if (verdict.ok === shape.wrong) failures.push(`${shape.name}: judged wrong`);
      }
      const tookUs = process.cpuUsage(begin).user;
      facts[`${shape.name}, undecided`] = (facts[`${shape.name}, undecided`] ?? 0) + undecided;
      return tookUs / seeds;
    });
    return { name: shape.name, unit: "µs of processor time per seed", values };
  });
  return { rows, ratios: [], facts, failures };
}

/** The histories of a store that is linearizable, key by key. Each client waits for its answer before it goes on. */
function played({ keys, wrong }: Shape, seed: number): RegisterOperation[][] {
  const chance = new SeededStreams(seed);
  const draw = (site: string, count: number): number => Math.floor(chance.next(site) * count);
  const values: Value[] = Array.from({ length: keys }, () => null);
  const histories: RegisterOperation[][] = values.map(() => []);
  const nextAt = Array.from({ length: clients }, (_, client) => client);
  /** What happens, in the order of its instant. */
  const effects: { readonly at: number; readonly run: () => void }[] = [];
  for (let i = 0; i < operations; i++) {
    const client = nextAt.indexOf(Math.min(...nextAt));
    const start = nextAt[client] ?? 0;
    const end = start + 1 + draw("lasts", 2 * clients);
    nextAt[client] = end + 1;
    const key = draw("key", keys);
    const history = histories[key] ?? [];
    const unknown = chance.next("unknown") < unknownShare;
    const outcome = unknown ? "unknown" : "ok";
    const late = unknown ? draw("late", 100) : 0;
    const at = start + chance.next("instant") * (end - start) + late;
    if (chance.next("kind") < 0.5) {
      effects.push({
        at,
        run: () => history.push({ kind: "read", value: values[key] ?? null, start, end, outcome }),
      });
    } else {
      const value = chance.next("delete") < 0.2 ? null : `${i}`;
      history.push({ kind: "write", value, start, end, outcome });
      const effective = !unknown || chance.next("effective") < 0.5;
      if (effective) effects.push({ at, run: () => values.splice(key, 1, value) });
    }
  }
  for (const { run: happen } of effects.sort((a, b) => a.at - b.at)) happen();
  if (wrong) {
    const end = Math.max(...nextAt);
    histories[0]?.push({ kind: "read", value: "never written", start: end - 1, end, outcome: "ok" });
  }
  return histories;
}
