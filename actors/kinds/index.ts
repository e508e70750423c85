/** The amends of all kinds, by name: what db_switch may run on a key's rows. */

import type { AmendFunction } from "../shard_messages.ts";
import { oneTimeKeyAmends } from "./one_time_keys.ts";

export const amendFunctions: Readonly<Record<string, AmendFunction>> = { ...oneTimeKeyAmends };
