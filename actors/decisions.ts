/**
 * Decision records in the control store, and the only ways in which they change. A decision is held by its owner for a
 * lease, which the owner renews; once that has passed anyone may end it.
 *
 * Always true: a record changes by compare-and-set, so a decision ends once, whoever races for it; an end is never
 * changed, only that the old side let go is noted; only a blocking decision becomes swapped.
 */

import { NanoError, type Self } from "../src/index.ts";
import {
  type Authority,
  authorityOf,
  type CohortRecord,
  type ControlStore,
  controlKeys,
  type DecisionRecord,
  type DecisionState,
} from "./control_store.ts";
import { dataLimits } from "./limits.ts";
import type { CohortId } from "./records.ts";

export async function readDecisions(control: ControlStore): Promise<DecisionRecord[]> {
  const records = await control.list("decision/");
  return records.map(({ value }) => value as DecisionRecord).sort((a, b) => a.blockTerm - b.blockTerm);
}

export async function readCohorts(control: ControlStore): Promise<CohortRecord[]> {
  return (await control.list("cohort/")).map(({ value }) => value as CohortRecord);
}

/** Undefined: control knows no such cohort. */
export async function readCohort(control: ControlStore, id: CohortId): Promise<CohortRecord | undefined> {
  const entry = await control.get(controlKeys.cohort(id));
  return entry?.value as CohortRecord | undefined;
}

/** Who serves each cohort, by what control says now. */
export async function readAuthorities(control: ControlStore): Promise<Map<CohortId, Authority>> {
  const decisions = await readDecisions(control);
  const cohorts = await readCohorts(control);
  return new Map(cohorts.map((record) => [record.cohort, authorityOf(record, decisions)]));
}

export function isOpen(state: DecisionState): boolean {
  return state === "announced" || state === "blocking";
}

/** Whether this coordinator may end it: its own of an earlier life, or one whose owner's lease has ended. */
export function mayEnd({ owner, leaseUntilMs }: DecisionRecord, self: Pick<Self, "name" | "clock">): boolean {
  return owner === self.name || leaseUntilMs < self.clock.now();
}

/** Until when a decision is its owner's if the owner says nothing more. */
export function leaseEnd(self: Pick<Self, "clock">): number {
  return self.clock.now() + dataLimits.decisionLeaseMs;
}

/** Writes the decision's end once. Returns the state that stands, which another coordinator may have written. */
export async function endDecision(
  self: Pick<Self, "clock">,
  control: ControlStore,
  id: string,
  end: "swapped" | "aborted",
  what: Pick<DecisionRecord, "compared"> = {},
): Promise<DecisionState> {
  const { state } = await change(control, id, (decision) => {
    if (!isOpen(decision.state) || (end === "swapped" && decision.state !== "blocking")) return undefined;
    return end === "aborted"
      ? aborted(decision, self)
      : { ...decision, ...what, state: end, endedAtMs: self.clock.now() };
  });
  return state;
}

/** As `aborted`, if nobody holds it any more. True when this ended it. */
export async function endOverdue(
  self: Pick<Self, "name" | "clock">,
  control: ControlStore,
  id: string,
): Promise<boolean> {
  let ends = false;
  await change(control, id, (decision) => {
    ends = isOpen(decision.state) && mayEnd(decision, self);
    return ends ? aborted(decision, self) : undefined;
  });
  return ends;
}

function aborted(decision: DecisionRecord, { clock }: Pick<Self, "clock">): DecisionRecord {
  const withdrawn = decision.state === "announced";
  return { ...decision, state: "aborted", withdrawn, endedAtMs: clock.now() };
}

/** From `announced`, by its owner. Errors: `conflict` when it is not announced any more. */
export async function blockDecision(self: Self, control: ControlStore, id: string): Promise<DecisionRecord> {
  let blocked = false;
  const stands = await change(control, id, (decision) => {
    blocked = decision.state === "announced";
    return blocked ? { ...decision, state: "blocking", leaseUntilMs: leaseEnd(self) } : undefined;
  });
  if (!blocked) throw new NanoError("conflict", `decision ${id} was ended by another`);
  return stands;
}

/** Of a swap: no owner on the old side serves what was taken from it, so the new side may serve it at once. */
export async function noteLetGo(control: ControlStore, id: string): Promise<void> {
  await change(control, id, (decision) => (hasLeft(decision) ? { ...decision, letGo: true } : undefined));
}

/** It swapped, and control does not know that the old side let go. */
export function hasLeft({ state, letGo }: DecisionRecord): boolean {
  return state === "swapped" && letGo !== true;
}

/** The owner is still there. Nothing happens to a decision that has ended. Returns the state that stands. */
export async function renewLease(self: Self, control: ControlStore, id: string): Promise<DecisionState> {
  const { state } = await change(control, id, (decision) =>
    isOpen(decision.state) ? { ...decision, leaseUntilMs: leaseEnd(self) } : undefined,
  );
  return state;
}

/** Repeats until the change stands or there is nothing to change. Returns the record that stands. */
async function change(
  control: ControlStore,
  id: string,
  next: (decision: DecisionRecord) => DecisionRecord | undefined,
): Promise<DecisionRecord> {
  for (;;) {
    const record = await control.get(controlKeys.decision(id));
    if (record === undefined) throw new NanoError("conflict", `decision ${id} is gone`);
    const decision = record.value as DecisionRecord;
    const changed = next(decision);
    if (changed === undefined) return decision;
    if ((await control.compareAndSet(record.key, record.revision, changed)) !== undefined) return changed;
  }
}
