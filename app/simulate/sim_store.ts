/**
 * The memory store with the time and the accidents of a real one: each call takes a while before and after its
 * effect, so a thread that dies loses the call or its answer; a scenario parks calls at pause points: `A store apply`,
 * `get`, `scan` and `fence` before the effect, `applied`, `got`, `scanned` and `fenced` after it. Whoever watches hears
 * which keys changed.
 */

import type { Row, RowKey, Site } from "../../actors/records.ts";
import type { ApplyGroup } from "../../actors/store_messages.ts";
import type { Store } from "../../actors/stores/contract.ts";
import { type MemoryFiles, openMemoryStore } from "../../actors/stores/memory.ts";
import { NanoError } from "../../src/index.ts";
import type { PausePoints, SimulatedThread } from "../../src/simulation/index.ts";

/** Ms, of one half of a call: LMDB's batches take 0.5 to 3 ms with their sync. */
const storeDelayMs = [0.1, 1] as const;

/** How a store is now. */
export interface StoreMood {
  /** More time for each half of a call, ms. */
  slowMs: number;
  /** Share of the changes that fail, half of them after their effect. */
  failShare: number;
}

export interface StoreWatch {
  readonly points: PausePoints;
  readonly mood: StoreMood;
  /** A call took longer, or failed. */
  readonly onFault: (fault: "store slow" | "store failed" | "store failed after its effect") => void;
  /** Rows are about to be applied. */
  readonly onApply: (groups: readonly ApplyGroup[]) => void;
  /** These rows may have changed. */
  readonly onApplied: (keys: readonly RowKey[]) => void;
}

export async function openSimStore(
  site: Site,
  files: MemoryFiles,
  thread: SimulatedThread,
  { points, mood, onFault, onApply, onApplied }: StoreWatch,
  options: { readonly newStoreId: string; readonly indexedBackends: readonly string[] },
  open = (): Promise<Store> => openMemoryStore(files, options),
): Promise<Store> {
  const store = await open();
  const half = (): Promise<void> => {
    if (mood.slowMs > 0) onFault("store slow");
    // Now and then a short wait: what comes first is not always the same.
    const slowMs = mood.slowMs === 0 ? 0 : mood.slowMs * 2 * thread.random.next("sim_store.slow");
    return thread.sleep(slowMs + thread.delayMs("sim_store", storeDelayMs), `store ${site}`);
  };
  const slow = async <T>(work: () => Promise<T>): Promise<T> => {
    await half();
    const result = await work();
    await half();
    return result;
  };
  /** What changes nothing is done when it is answered. */
  const later = async <T>(work: () => Promise<T>): Promise<T> => {
    await half();
    return work();
  };
  /** What the driver says of a transaction that failed is not always true. */
  const mayFail = async <T>(work: () => Promise<T>): Promise<T> => {
    const chance = mood.failShare > 0 ? thread.random.next("sim_store.fail") : 1;
    if (chance < mood.failShare / 2) return failed("store failed");
    const result = await work();
    return chance < mood.failShare ? failed("store failed after its effect") : result;
  };
  const failed = (fault: "store failed" | "store failed after its effect"): never => {
    onFault(fault);
    throw new NanoError("unavailable", "the store failed");
  };
  /** Changes happen in the order of their calls, as in one writer's transactions. */
  let last: Promise<unknown> = Promise.resolve();
  const serially = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(() => slow(() => mayFail(work)));
    last = result.catch(() => undefined);
    return result;
  };
  const passing = async <T>(before: string, after: string, details: unknown, work: () => Promise<T>) => {
    await points.pass(`${site} store ${before}`, details);
    const result = await work();
    await points.pass(`${site} store ${after}`, details);
    return result;
  };
  return {
    capabilities: store.capabilities,
    identity: () => store.identity(),
    get: (keys) => passing("get", "got", keys, () => later(() => store.get(keys))),
    apply: async (groups) => {
      const rows: Row[] = groups.flatMap((group) => group.rows);
      await points.pass(`${site} store apply`, { groups, rows });
      const results = await serially(async () => {
        onApply(groups);
        const applied = await store.apply(groups);
        onApplied(rows.map(({ key }) => key));
        return applied;
      });
      await points.pass(`${site} store applied`, { groups, rows });
      return results;
    },
    fence: (scope, term) =>
      passing("fence", "fenced", { scope, term }, () => serially(() => store.fence(scope, term))),
    fences: (scopes) => store.fences(scopes),
    collect: (key, version) => serially(() => store.collect(key, version)),
    scan: (range, limit) => passing("scan", "scanned", range, () => later(() => store.scan(range, limit))),
    peek: (range, limit) => passing("scan", "scanned", range, () => later(() => store.peek(range, limit))),
    lookup: (backend, sub, limit) => later(() => store.lookup(backend, sub, limit)),
    rebuildIndex: () => store.rebuildIndex(),
    sync: () => store.sync(),
    close: () => store.close(),
  };
}
