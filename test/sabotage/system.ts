/** The system's process with the twin that the environment names; without a name, the product's own. */

import { runSystem } from "../../app/system/run.ts";
import { NanoError } from "../../src/index.ts";
import { twinVariable } from "./twin_variable.ts";
import { twins } from "./twins.ts";

const name = process.env[twinVariable];
const twin = name === undefined ? {} : twins[name];
if (twin === undefined) throw new NanoError("config", `no twin named ${name}`);
runSystem(twin);
