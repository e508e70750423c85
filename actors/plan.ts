/** Which combinations can't keep the promises, and which hazard each would let in. Pure. */

export interface PlannedBackend {
  readonly name: string;
  readonly affinity: "key" | "none";
  readonly routing: string;
}

export interface PlannedJob {
  readonly backends: readonly PlannedBackend[];
  readonly durability: "group" | "sync" | "os";
  readonly store: {
    readonly conditionalWrite: boolean;
    readonly orderedScan: boolean;
    readonly atomicBatch: boolean;
  };
}

export interface Refusal {
  readonly field: string;
  readonly message: string;
  readonly cure: string;
}

export function checkPlan({ backends, store }: PlannedJob): Refusal[] {
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
  return refusals;
}
