/** The process of one bench: name and options as arguments, the result over IPC. */

import type { BenchOptions } from "./result.ts";
import { importBench } from "./run.ts";

const [name = "", options = "{}"] = process.argv.slice(2);
const bench = await importBench(name);
const result = await bench.run(JSON.parse(options) as BenchOptions);
process.send?.(result, () => process.exit(0));
