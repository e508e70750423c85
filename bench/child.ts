/** The process of one bench: name and options as arguments, the result over IPC. */

import type { BenchOptions } from "./result.ts";
import { findBenches } from "./run.ts";

const [name = "", options = "{}"] = process.argv.slice(2);
const bench = (await findBenches()).get(name);
if (bench === undefined) throw new Error(`no bench ${name}`);
const result = await bench.run(JSON.parse(options) as BenchOptions);
process.send?.(result, () => process.exit(0));
