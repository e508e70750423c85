/** `node play_seeds.js FROM COUNT`: plays seeds of the swarm; exit code 1 when one breaks a promise. */

import { drawPlan } from "../../app/simulate/draw.ts";
import { playPlan } from "../../app/simulate/seed_run.ts";

const [from = "1", count = "1"] = process.argv.slice(2);

for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const { findings } = await playPlan(drawPlan(seed));
  const [fault] = findings.faults;
  if (fault === undefined) continue;
  process.stdout.write(`seed ${seed}: ${fault}\n`);
  process.exit(1);
}
