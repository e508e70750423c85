/**
 * The planted mutants by name. Where a hazard's twin breaks the very thing, it is the mutant: the swarm has to find
 * without being led what the hazard's test plays on purpose.
 */

import { caching_store, unmarking_ledger } from "../../sabotage/twins.ts";
import { forgetful_failover } from "../hazards/broken_actors.ts";
import { hasty_crawler } from "../hazards/crawl_twins.ts";
import { hurried_log } from "../hazards/log_twins.ts";
import { forgetful_ledger, wholesale_queuer, wholesale_replay } from "../hazards/repair_twins.ts";
import { forgetful_dispatcher } from "../hazards/routing_twins.ts";
import {
  hasty_ledger,
  late_ledger,
  silent_queuer,
  unsynced_ledger,
  unversioned_ledger,
  unversioned_store,
} from "../hazards/twins.ts";
import { early_drain_failover, hasty_swap_failover } from "./coordinator_mutants.ts";
import { accessOver } from "./factory_mutants.ts";
import { impatient_ledger, orphaning_ledger, overclearing_ledger, set_ledger } from "./ledger_mutants.ts";
import type { Mutant } from "./mutant.ts";
import { unchecking_store } from "./store_mutants.ts";
import { hasty_switch, leaseless_switch } from "./switch_mutants.ts";

export const mutants: Readonly<Record<string, Mutant>> = {
  "unversioned clear": {
    breaks: "a mark is cleared only if nothing newer was admitted since its row was read",
    quick: true,
    broken: { replaced: { db_dirty_keys: unversioned_ledger } },
  },
  "repair from a cached value": {
    breaks: "what is sent is the current local row, read under the key's lane",
    quick: true,
    broken: { replaced: { db_store: caching_store } },
  },
  "cursor saved early": {
    breaks: "a range's cursor moves behind confirmed rows only",
    quick: true,
    broken: { replaced: { db_crawler: hasty_crawler } },
  },
  "drain before block": {
    breaks: "what is counted as drained was counted when nothing more was admitted",
    broken: { replacedCoordinators: { db_failover: early_drain_failover } },
  },
  "batch counted whole": {
    breaks: "each row of a batch has a result of its own",
    broken: { replaced: { db_queuer: wholesale_queuer, db_replay: wholesale_replay } },
  },
  "term unchecked at the store": {
    breaks: "a store takes nothing under a term that is below its fence",
    broken: { replaced: { db_store: unchecking_store } },
  },
  "ledger as a set": {
    breaks: "the ledger knows each dirty key's version and what of it is still to be committed",
    quick: true,
    broken: { replaced: { db_dirty_keys: set_ledger } },
  },
  "discard forgotten": {
    breaks: "what does not fit into the queue changes its owner",
    broken: { replaced: { db_queuer: silent_queuer } },
  },
  "backoff reset by writes": {
    breaks: "a write does not end its key's backoff",
    broken: { replaced: { db_dirty_keys: impatient_ledger } },
  },
  "lease not checked": {
    breaks: "an owner that is cut off from control serves no longer than its lease",
    broken: { replaced: { db_switch: leaseless_switch } },
  },
  "mirror after acknowledge": {
    breaks: "a mark is in the mirror before its write is acknowledged",
    broken: { replaced: { db_dirty_log: hurried_log } },
  },
  "resize without drain": {
    breaks: "a key's jobs run one after the other, also while the group is resized",
    broken: { openAccess: accessOver(forgetful_dispatcher) },
  },
  "one-time key handed out before it is durable": {
    breaks: "a one-time key is handed out once",
    broken: { replaced: { db_switch: hasty_switch } },
  },
  "swap before durable": {
    breaks: "a swap is acted on when control has it",
    broken: { replacedCoordinators: { db_failover: hasty_swap_failover } },
  },
  "mark without an owner": {
    breaks: "a queuer that dies leaves its marks to replay",
    broken: { replaced: { db_dirty_keys: orphaning_ledger } },
  },
  "range cleared past its cursor": {
    breaks: "a range stands until every key in it was confirmed",
    quick: true,
    broken: { replaced: { db_dirty_keys: overclearing_ledger } },
  },
  "mark after the local write": {
    breaks: "a key is marked before its local write",
    quick: true,
    broken: { replaced: { db_dirty_keys: late_ledger } },
  },
  "mark acknowledged before its sync": {
    breaks: "a mark is durable before its local write",
    broken: { replaced: { db_dirty_keys: unsynced_ledger } },
  },
  "clear with a write pending": {
    breaks: "a mark is not cleared by a row that was read while a newer one was being committed",
    broken: { replaced: { db_dirty_keys: hasty_ledger } },
  },
  "last write wins at the store": {
    breaks: "a store applies only what is newer",
    broken: { replaced: { db_store: unversioned_store } },
  },
  "full ledger forgets": {
    breaks: "what does not fit into the ledger is in a range",
    broken: { replaced: { db_dirty_keys: forgetful_ledger } },
  },
  "write without a mark": {
    breaks: "every write of a live cohort is marked",
    quick: true,
    broken: { replaced: { db_dirty_keys: unmarking_ledger } },
  },
  "open decision left open": {
    breaks: "a decision whose coordinator died is ended by the next one",
    broken: { replacedCoordinators: { db_failover: forgetful_failover } },
  },
};
