/** pool_worker's task for workerpool. */

import { worker } from "workerpool";
import put from "./pool_worker.ts";

worker({ put });
