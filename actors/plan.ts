/** Which combinations can't keep the promises, and which hazard each would let in. Pure. */

export interface PlannedBackend {
  readonly name: string;
  readonly affinity: "key" | "none";
  readonly routing: string;
}

/** The site that everything moves from: who writes its store, and what its server offers if others do. */
export interface PlannedSource {
  readonly writtenBy: "nanoactor" | "others";
  /**
   * `gap_detecting`: each event says which one came before it, as in logical decoding, a binlog or a replication
   * stream. `lossy`: what is missed is missed for good, as with keyspace notifications.
   */
  readonly feed: "none" | "lossy" | "gap_detecting";
  /** The server refuses everybody's writes of a cohort when it is told to. */
  readonly writeStop: boolean;
}

export interface PlannedJob {
  readonly backends: readonly PlannedBackend[];
  readonly durability: "group" | "sync" | "os";
  readonly store: {
    readonly conditionalWrite: boolean;
    readonly orderedScan: boolean;
    readonly atomicBatch: boolean;
  };
  /** Default: nanoactor writes it. */
  readonly source?: PlannedSource;
  /** Whether prefixes are to be moved, or the source only followed. Default: true. */
  readonly failover?: boolean;
}

export interface Refusal {
  readonly field: string;
  readonly message: string;
  readonly cure: string;
}

export function checkPlan({ backends, store, source, failover = true }: PlannedJob): Refusal[] {
  const refusals: Refusal[] = [];
  for (const { name, affinity, routing } of backends) {
    if (affinity === "none" || routing !== "queue") continue;
    refusals.push({
      field: `routing.${name}`,
      message:
        "queue gives a key's operations to any free worker, so a later write may overtake an earlier one",
      cure: "use sticky_queue or consistent_hash",
    });
  }
  if (!store.conditionalWrite) {
    refusals.push({
      field: "store",
      message: "without conditional writes a late packet replaces a newer row (hazards 1 and 11)",
      cure: "use a store that writes a row only if its version is newer",
    });
  }
  if (!store.orderedScan) {
    refusals.push({
      field: "store",
      message: "without an ordered scan a copy can't be resumed behind its last row (hazards 8 and 18)",
      cure: "use a store with ordered scans",
    });
  }
  if (source !== undefined) refusals.push(...checkSource(source, failover));
  return refusals;
}

/** What following a source that others write, and moving prefixes away from it, would lack. */
export function checkSource({ writtenBy, feed, writeStop }: PlannedSource, failover: boolean): Refusal[] {
  if (writtenBy === "nanoactor") return [];
  const refusals: Refusal[] = [];
  if (feed !== "gap_detecting") {
    const lack =
      feed === "none" ? "without a change feed" : "with a feed that can't tell that it lost an event";
    refusals.push({
      field: "source.feed",
      message: `${lack} a change by others stays on one side for good, and nothing says so (hazard 58)`,
      cure: "use logical decoding, a binlog or a replication stream; or let nanoactor write the source",
    });
  }
  if (failover && !writeStop) {
    refusals.push({
      field: "source.writeStop",
      message:
        "without a write stop that the server enforces, a write of others lands on the old side after the drain " +
        "was counted, or after the swap (hazards 33 and 37)",
      cure: "have the server refuse these writes, by rights or a trigger; or only copy and compare",
    });
  }
  return refusals;
}
