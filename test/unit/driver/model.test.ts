import { beforeEach, describe, expect, it } from "vitest";
import { type Row, versionZero } from "../../../actors/records.ts";
import { Judge, requestId, type Window } from "../../../app/driver/judge.ts";
import { driverLimits } from "../../../app/driver/limits.ts";
import { Model, stateWord } from "../../../app/driver/model.ts";
import { encodeFreeKey, encodeTakenKey } from "../../../app/driver/one_time_rows.ts";
import { Population, type RowNumber, type Unit } from "../../../app/driver/population.ts";

const startMs = 1_800_000_000_000;
const now: Window = { fromMs: startMs, toMs: startMs };

let model: Model;
let judge: Judge;
let picture: Unit;
let keys: Unit;

beforeEach(() => {
  model = new Model(new Population(11, 120));
  judge = new Judge(model);
  model.apply({ type: "tick", operation: 1, nowMs: startMs });
  const user = model.population.users.findIndex((_, candidate) => {
    const unit = model.population.unit(candidate, "profile_picture");
    return model.population.presentAtStart(unit, unit.first);
  });
  picture = model.population.unit(user, "profile_picture");
  keys = model.population.unit(user, "public_keys");
});

function put(row: RowNumber = picture.first): number {
  const operation = model.nextOperation();
  model.apply({ type: "put", operation, row });
  return operation;
}

function take(request?: number): number {
  const operation = model.nextOperation();
  model.apply({ type: "take", operation, user: keys.user, request: request ?? operation });
  return operation;
}

function upload(rows: readonly RowNumber[]): number {
  const operation = model.nextOperation();
  model.apply({ type: "upload", operation, user: keys.user, rows });
  return operation;
}

function stored(unit: Unit, row: RowNumber, value: Uint8Array | null, expiresAtMs = 0): Row {
  return {
    key: model.population.rowKeyOf(row),
    version: versionZero,
    value,
    expiresAtMs: unit ? expiresAtMs : 0,
  };
}

/** Whether the picture's row may hold what `operation` wrote (undefined: nothing). */
function accepts(operation: number | undefined): boolean {
  const row = picture.first;
  const value = operation === undefined ? null : judge.values.make(picture.backend, row, operation);
  return judge.stored(picture, row, stored(picture, row, value), startMs) === undefined;
}

function keyIs(row: RowNumber, request: number | undefined, uploaded = 0): boolean {
  const bytes = judge.values.make(keys.backend, row, uploaded);
  const value =
    request === undefined ? encodeFreeKey(bytes) : encodeTakenKey(requestId(request), startMs, bytes);
  return judge.stored(keys, row, stored(keys, row, value), startMs) === undefined;
}

describe("a row", () => {
  it("holds what was loaded until a write begins", () => {
    expect(accepts(0)).toBe(true);
    expect(accepts(undefined)).toBe(false);
    expect(accepts(1)).toBe(false);
  });

  it("may hold the old or the new state while a write is in flight, and only the new one after", () => {
    const operation = put();
    expect([accepts(0), accepts(operation)]).toEqual([true, true]);
    model.apply({ type: "acknowledged", operation });
    expect([accepts(0), accepts(operation)]).toEqual([false, true]);
    expect(model.acknowledgedWrites).toBe(1);
  });

  it("keeps its state when a write is refused", () => {
    const operation = put();
    model.apply({ type: "refused", operation });
    expect([accepts(0), accepts(operation)]).toEqual([true, false]);
    expect(model.acknowledgedWrites).toBe(0);
    expect(model.isBusy(picture.first)).toBe(false);
  });

  it("may hold an unknown write's state until a write that began after its time is acknowledged", () => {
    const lost = put();
    model.apply({ type: "unknown", operation: lost, settledAtMs: startMs + 5_000 });
    const soon = put();
    model.apply({ type: "acknowledged", operation: soon });
    expect([accepts(0), accepts(lost), accepts(soon)]).toEqual([false, true, true]);
    model.apply({ type: "tick", operation: model.nextOperation(), nowMs: startMs + 6_000 });
    const late = put();
    model.apply({ type: "acknowledged", operation: late });
    expect([accepts(lost), accepts(soon), accepts(late)]).toEqual([false, false, true]);
  });

  it("forgets an unknown write of a process that is gone as soon as the next write is acknowledged", () => {
    const lost = put();
    model.apply({ type: "unknown", operation: lost, settledAtMs: startMs + 5_000 });
    model.apply({ type: "incarnation" });
    expect(accepts(lost)).toBe(true);
    const next = put();
    model.apply({ type: "acknowledged", operation: next });
    expect([accepts(lost), accepts(next)]).toEqual([false, true]);
  });

  it("ignores the late outcome of a write that was given up", () => {
    const operation = put();
    model.apply({ type: "unknown", operation, settledAtMs: 0 });
    model.apply({ type: "acknowledged", operation });
    expect([accepts(0), accepts(operation), model.acknowledgedWrites]).toEqual([true, true, 0]);
  });

  it("takes what was in flight for unknown when the driver starts again", () => {
    const operation = put();
    model.apply({ type: "restart", settledAtMs: startMs });
    expect([accepts(0), accepts(operation), model.writesInFlight]).toEqual([true, true, 0]);
  });

  it("is absent after a removal, and a tombstone is as good as nothing", () => {
    const operation = model.nextOperation();
    model.apply({ type: "remove", operation, row: picture.first });
    model.apply({ type: "acknowledged", operation });
    expect([accepts(undefined), accepts(0)]).toEqual([true, false]);
    expect(judge.stored(picture, picture.first, undefined, startMs)).toBeUndefined();
  });

  it("has one write in flight", () => {
    put();
    expect(() => put()).toThrow("one write in flight");
  });

  it("may have vanished once it has expired, and not before", () => {
    const device = model.population.unit(picture.user, "device_platform");
    let operation = put(device.first);
    while (judge.expiries.of(device.backend, operation) === 0) {
      model.apply({ type: "refused", operation });
      operation = put(device.first);
    }
    model.apply({ type: "acknowledged", operation });
    const expiresAtMs = judge.expiries.of(device.backend, operation);
    expect(expiresAtMs).toBeGreaterThan(startMs);
    const nothing = (atMs: number): boolean =>
      judge.stored(device, device.first, undefined, atMs) === undefined;
    expect([nothing(expiresAtMs - 1_000), nothing(expiresAtMs)]).toEqual([false, true]);
    const value = judge.values.make(device.backend, device.first, operation);
    const row = (expires: number): Row => stored(device, device.first, value, expires);
    expect(judge.stored(device, device.first, row(expiresAtMs), expiresAtMs + 1)).toBeUndefined();
    expect(judge.stored(device, device.first, row(0), startMs)).toBeDefined();
    const watch = model.watch(device);
    const at = (ms: number): Window => ({ fromMs: ms, toMs: ms });
    expect(judge.read(watch, device.first, value, at(startMs))).toBeUndefined();
    expect(judge.read(watch, device.first, value, at(expiresAtMs + 1_000))).toBeDefined();
    expect(judge.read(watch, device.first, null, at(startMs))).toBeDefined();
  });
});

describe("a read", () => {
  const reads = (watch: ReturnType<Model["watch"]>, operation: number): boolean => {
    const value = judge.values.make(picture.backend, picture.first, operation);
    return judge.read(watch, picture.first, value, now) === undefined;
  };

  it("may see every state between its start and its answer, and none from before", () => {
    const first = put();
    model.apply({ type: "acknowledged", operation: first });
    const watch = model.watch(picture);
    const second = put();
    model.apply({ type: "acknowledged", operation: second });
    const third = put();
    model.apply({ type: "acknowledged", operation: third });
    expect([0, first, second, third].map((operation) => reads(watch, operation))).toEqual([
      false,
      true,
      true,
      true,
    ]);
    model.unwatch(watch);
    expect([first, third].map((operation) => reads(model.watch(picture), operation))).toEqual([false, true]);
  });

  it("settles an unknown write that it shows, if nothing else was under way", () => {
    const lost = put();
    model.apply({ type: "unknown", operation: lost, settledAtMs: startMs + 5_000 });
    const value = judge.values.make(picture.backend, picture.first, lost);
    const word = judge.settledBy(model.watch(picture), picture.first, value, now);
    expect(word).toBe(stateWord.present(lost));
    model.apply({ type: "settled", row: picture.first, operation: lost, removes: false });
    expect([accepts(0), accepts(lost)]).toEqual([false, true]);
  });

  it("settles nothing while another write is under way", () => {
    const lost = put();
    model.apply({ type: "unknown", operation: lost, settledAtMs: startMs + 5_000 });
    const watch = model.watch(picture);
    put();
    const value = judge.values.make(picture.backend, picture.first, lost);
    expect(judge.settledBy(watch, picture.first, value, now)).toBeUndefined();
  });
});

describe("one-time keys", () => {
  const value = (row: RowNumber): Uint8Array => judge.values.make(keys.backend, row, 0);

  it("are free until a take holds them, and then never again", () => {
    const row = keys.first;
    expect([keyIs(row, undefined), keyIs(row, 99)]).toEqual([true, false]);
    const request = take();
    expect([keyIs(row, undefined), keyIs(row, request), keyIs(row, 99)]).toEqual([true, true, false]);
    model.apply({ type: "taken", operation: request, row, upload: 0 });
    expect([keyIs(row, undefined), keyIs(row, request), keyIs(row, 99)]).toEqual([false, true, false]);
    expect(judge.stored(keys, row, undefined, startMs)).toBeDefined();
  });

  it("are not handed to a second request, but to the same one again", () => {
    const request = take();
    model.apply({ type: "taken", operation: request, row: keys.first, upload: 0 });
    expect(judge.take(keys, keys.first, request, value(keys.first)).wrong).toBeUndefined();
    expect(judge.take(keys, keys.first, request + 1, value(keys.first)).wrong).toContain("held already");
    expect(judge.take(keys, keys.first + 1, request + 1, value(keys.first)).wrong).toContain(
      "not what was uploaded",
    );
  });

  it("may be held by an unknown take until its repetition says which one", () => {
    const request = take();
    model.apply({ type: "unknown", operation: request, settledAtMs: 0 });
    const { first } = keys;
    expect([keyIs(first, request), keyIs(first + 1, request), keyIs(first, undefined)]).toEqual([
      true,
      true,
      true,
    ]);
    const again = take(request);
    model.apply({ type: "taken", operation: again, row: first + 1, upload: 0 });
    expect([keyIs(first, request), keyIs(first + 1, request)]).toEqual([false, true]);
  });

  it("stay with their first holder, whatever a later answer says", () => {
    const first = take();
    model.apply({ type: "taken", operation: first, row: keys.first, upload: 0 });
    const second = take();
    model.apply({ type: "taken", operation: second, row: keys.first, upload: 0 });
    expect(model.holder(keys.first)).toBe(first);
  });

  it("are counted within what is in flight and unknown", () => {
    expect(model.keyBounds(keys)).toEqual({ lower: keys.count, upper: keys.count, free: keys.count });
    const request = take();
    expect(model.keyBounds(keys)).toMatchObject({ lower: keys.count - 1, upper: keys.count });
    model.apply({ type: "unknown", operation: request, settledAtMs: 0 });
    const next = model.population.rows;
    const uploaded = upload([next, next + 1]);
    expect(model.keyBounds(keys)).toMatchObject({ lower: keys.count - 1, upper: keys.count + 2 });
    model.apply({ type: "acknowledged", operation: uploaded });
    expect(model.keyBounds(keys)).toMatchObject({ lower: keys.count + 1, upper: keys.count + 2 });
    expect([keyIs(next, undefined, uploaded), keyIs(next, request, uploaded)]).toEqual([true, true]);
    expect(keyIs(next, undefined, 0)).toBe(false);
  });

  it("of a refused upload do not exist, and may be uploaded again", () => {
    const row = model.population.rows;
    const refused = upload([row]);
    expect(model.population.rows).toBe(row + 1);
    model.apply({ type: "refused", operation: refused });
    expect(keyIs(row, undefined, refused)).toBe(false);
    const again = upload([row]);
    model.apply({ type: "acknowledged", operation: again });
    expect(model.population.rows).toBe(row + 1);
    expect([keyIs(row, undefined, refused), keyIs(row, undefined, again)]).toEqual([false, true]);
  });

  it("that are no key in the store are named so", () => {
    const row = stored(keys, keys.first, Buffer.from([7, 7]));
    expect(judge.stored(keys, keys.first, row, startMs)).toContain("no one-time key");
  });
});

it("has numbers for every operation that the flags leave room for", () => {
  const last = driverLimits.operationsMax;
  for (const word of [stateWord.present(last), stateWord.absent(last), stateWord.taken(last)]) {
    expect(stateWord.operation(new Uint32Array([word])[0] ?? 0)).toBe(last);
  }
  expect([stateWord.isAbsent(stateWord.absent(last)), stateWord.isTaken(stateWord.taken(last))]).toEqual([
    true,
    true,
  ]);
  expect([stateWord.isAbsent(stateWord.taken(last)), stateWord.isTaken(stateWord.absent(last))]).toEqual([
    false,
    false,
  ]);
});
