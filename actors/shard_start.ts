/**
 * How a shard begins under a new term, whatever an earlier owner of it is still doing: the log, control and the own
 * store learn of the term in this order, and nothing older can land after the last of them.
 */

import { NanoError, type Ref } from "../src/index.ts";
import { type ControlStore, controlKeys, type ShardRecord } from "./control_store.ts";
import type { db_dirty_keys } from "./db_dirty_keys.ts";
import type { db_perror } from "./db_perror.ts";
import type { db_store } from "./db_store.ts";
import { rememberedHeld } from "./held_keys.ts";
import { shardScope } from "./records.ts";
import type { ShardOptions } from "./shard_options.ts";

interface Neighbours {
  readonly store: Ref<typeof db_store>;
  readonly ledger: Ref<typeof db_dirty_keys>;
  readonly perror: Ref<typeof db_perror>;
}

/**
 * Takes the shard for this term. Returns why the store may not be served, or "" (see shard_mending.ts).
 * Errors: `fenced` when a newer owner has it.
 */
export async function takeShard(
  options: ShardOptions,
  shardTerm: number,
  control: ControlStore,
  { store, ledger, perror }: Neighbours,
): Promise<string> {
  const { site, shard } = options;
  const key = controlKeys.shard(site, shard);
  const record = await control.get(key);
  const before = record?.value as ShardRecord | undefined;
  const logLost = before !== undefined && before.term > (await ledger.call.loggedTerm());
  await perror.call.start({ shardTerm });
  // Logged with the account, so that no later start finds the log whole without them.
  if (logLost) {
    for (const held of await rememberedHeld(control, options, "to")) await ledger.call.hold(held);
    // And why the other side holds keys: it lacks what stands here.
    for (const { keys } of await rememberedHeld(control, options, "from")) await ledger.call.recall(keys);
  }
  await ledger.call.start({ shardTerm, logLost });
  const scope = shardScope(site, shard);
  const { storeId, incarnation } = await store.call.identity();
  const [fencedTerm = 0] = await store.call.fences([scope]);
  const next: ShardRecord = { site, shard, term: shardTerm, storeId, incarnation, fencedTerm };
  if (before !== undefined && isBelow(next, before)) {
    return `store ${storeId} of ${key} is not the one that control remembers, or an older copy of it`;
  }
  const revision = await control.compareAndSet(key, record?.revision ?? 0, next);
  if (revision === undefined) throw new NanoError("fenced", `${key} was taken by another owner meanwhile`);
  const inForce = await store.call.fence({ scope, term: shardTerm });
  if (inForce > shardTerm)
    throw new NanoError("fenced", `${key} is fenced at ${inForce}, above ${shardTerm}`);
  // From here on a copy of the store from before this fence is known for what it is.
  if ((await control.compareAndSet(key, revision, { ...next, fencedTerm: shardTerm })) === undefined) {
    throw new NanoError("fenced", `${key} was taken by another owner meanwhile`);
  }
  return "";
}

/** Another store than the one that is known, or one that lacks what that had. */
function isBelow(found: ShardRecord, known: ShardRecord): boolean {
  if (found.storeId !== known.storeId || found.incarnation < known.incarnation) return true;
  // A copy opens under an incarnation that the original had, too.
  return found.fencedTerm < known.fencedTerm;
}
