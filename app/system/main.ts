/** The system's process, as the command starts it. */

import { runSystem } from "./run.ts";

runSystem();
