/** pool_worker's task for comlink. */

import { parentPort } from "node:worker_threads";
import { expose } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import put from "./pool_worker.ts";

if (parentPort !== null) expose({ put }, nodeEndpoint(parentPort));
