/** `node dist/test/sim/swarm_run.js FROM COUNT`: prints each seed that fails. */
import { swarm } from "./swarm.ts";

const from = Number(process.argv[2] ?? 0);
const count = Number(process.argv[3] ?? 20);
let failed = 0;
for (let seed = from; seed < from + count; seed++) {
  try {
    const { result } = await swarm(seed);
    if (result.lost.length + result.unaccounted.length + result.differing.length > 0) {
      failed++;
      console.log(seed, JSON.stringify(result));
    } else if (process.argv[4]) console.log(seed, "ok", JSON.stringify(result));
  } catch (error) {
    failed++;
    console.log(
      seed,
      String((error as Error).stack)
        .split("\n")
        .slice(0, 3)
        .join(" | ")
        .slice(0, 300),
    );
  }
}
console.log(`${failed} of ${count} failed`);
