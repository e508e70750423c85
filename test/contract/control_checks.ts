/**
 * The contract of control stores (actors/control_store.ts) as checks that throw; see store_checks.ts. A place is opened
 * several times at once, as threads and processes of a system do.
 */

import { expect } from "vitest";
import type { ControlStore } from "../../actors/control_store.ts";

export interface ControlPlace {
  /** A handle on the one control store of this place. */
  open(): ControlStore;
}

export type ControlCheck = (place: ControlPlace) => Promise<void>;

const key = "shard/A/1";

/** Adds one to a record, again until nobody came between; each time that it fails another has succeeded. */
async function increment(control: ControlStore): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const record = await control.get(key);
    const value = typeof record?.value === "number" ? record.value : 0;
    const revision = await control.compareAndSet(key, record?.revision ?? 0, value + 1);
    if (revision !== undefined) return;
  }
  throw new Error("compareAndSet never succeeds");
}

export const controlChecks: Readonly<Record<string, ControlCheck>> = {
  "a record that nobody wrote is absent": async (place) => {
    const control = place.open();
    expect(await control.get(key)).toBeUndefined();
    expect(await control.list("")).toEqual([]);
  },

  "compareAndSet writes only upon the expected revision, 0 for a record that does not exist": async (
    place,
  ) => {
    const control = place.open();
    expect(await control.compareAndSet(key, 1, "early")).toBeUndefined();
    expect(await control.get(key)).toBeUndefined();
    const first = await control.compareAndSet(key, 0, "one");
    expect(first).toBeGreaterThan(0);
    expect(await control.compareAndSet(key, 0, "again")).toBeUndefined();
    expect(await control.get(key)).toEqual({ key, value: "one", revision: first });
    const second = await control.compareAndSet(key, first ?? 0, "two");
    expect(second).toBeGreaterThan(first ?? 0);
    expect(await control.compareAndSet(key, first ?? 0, "late")).toBeUndefined();
    expect(await control.get(key)).toEqual({ key, value: "two", revision: second });
  },

  "a revision rises with each change, the same value included, and only for its own record": async (
    place,
  ) => {
    const control = place.open();
    const revisions = [0];
    for (let i = 0; i < 5; i++) {
      revisions.push((await control.compareAndSet(key, revisions.at(-1) ?? 0, "same")) ?? -1);
    }
    expect(revisions).toEqual([...new Set(revisions)].sort((x, y) => x - y));
    expect(await control.compareAndSet("shard/A/2", 0, "other")).toBeGreaterThan(0);
    expect((await control.get(key))?.revision).toBe(revisions.at(-1));
  },

  "a record is what was written, whatever its writer and its readers do to theirs": async (place) => {
    const control = place.open();
    const value = { cohorts: ["groups/+49"], term: 4, empty: null, nested: { text: "größer \u{1f511}" } };
    const written = structuredClone(value);
    await control.compareAndSet(key, 0, written);
    written.cohorts.push("late");
    const [read, [listed]] = [await control.get(key), await control.list("")];
    expect(read?.value).toEqual(value);
    Object.assign(read?.value ?? {}, { cohorts: [] });
    Object.assign(listed?.value ?? {}, { term: 5 });
    expect((await control.get(key))?.value).toEqual(value);
  },

  "list gives the records that begin with the prefix, in the order of UTF-8 bytes": async (place) => {
    const control = place.open();
    const names = ["", "*", "+1", "+49", "+499", "a", "é", "\uff5e", "\u{1f511}"].map(
      (name) => `cohort/${name}`,
    );
    for (const [i, name] of names.toReversed().entries()) await control.compareAndSet(name, 0, i);
    await control.compareAndSet("cohort", 0, "before");
    await control.compareAndSet("cohort0", 0, "behind");
    await control.compareAndSet("decision/1", 0, "other");
    const listed = async (prefix: string) => (await control.list(prefix)).map((record) => record.key);
    expect(await listed("cohort/")).toEqual(names);
    expect(await listed("cohort/+49")).toEqual(["cohort/+49", "cohort/+499"]);
    expect(await listed("cohort/+490")).toEqual([]);
    expect(await listed("")).toEqual(["cohort", ...names, "cohort0", "decision/1"]);
    expect(await control.list("decision")).toEqual([{ key: "decision/1", value: "other", revision: 1 }]);
  },

  "terms rise, whichever handle draws them": async (place) => {
    const handles = [place.open(), place.open(), place.open()];
    const drawn: number[] = [];
    for (let round = 0; round < 5; round++) {
      for (const control of handles) drawn.push(await control.nextTerm());
    }
    expect(drawn[0]).toBeGreaterThan(0);
    expect(drawn).toEqual([...new Set(drawn)].sort((x, y) => x - y));
  },

  "terms drawn at the same time are all different": async (place) => {
    const handles = [place.open(), place.open()];
    const drawn = await Promise.all(handles.flatMap((control) => [1, 2, 3, 4].map(() => control.nextTerm())));
    expect(new Set(drawn).size).toBe(8);
  },

  "of writers at the same time one wins, and each handle sees it": async (place) => {
    const handles = [place.open(), place.open(), place.open()];
    const outcomes = await Promise.all(handles.map((control, i) => control.compareAndSet(key, 0, i)));
    const winners = outcomes.flatMap((revision, i) => (revision === undefined ? [] : [i]));
    expect(winners).toHaveLength(1);
    for (const control of handles) expect((await control.get(key))?.value).toBe(winners[0]);
  },

  "no increment by compareAndSet is lost between handles": async (place) => {
    const handles = [place.open(), place.open()];
    const increments = handles.flatMap((control) => Array.from({ length: 10 }, () => increment(control)));
    await Promise.all(increments);
    expect((await handles[0]?.get(key))?.value).toBe(20);
  },
};
