/**
 * Who exists and which rows they have, as arithmetic: a row is a number, and its key, its user and its
 * place are computed when they are asked for, so three million rows cost no memory beyond the users' names.
 * Users stand in the order of their numbers; a user's rows are `device, picture, blocked members, groups'
 * members, keys`. Rows that a user's uploads add later come after all of these, in the order of
 * `addKeyRow`. A unit is the rows of one key of one backend: what one operation can touch.
 */

import { type RowKey, type RowKeyParts, rowKey, splitRowKey } from "../../actors/records.ts";
import { assert } from "../../src/index.ts";
import { Chance, mix, streams } from "./chance.ts";
import { driverLimits } from "./limits.ts";
import { drawPhoneNumbers } from "./phone_numbers.ts";

export const backendNames = [
  "device_platform",
  "profile_picture",
  "blocklist",
  "groups",
  "public_keys",
] as const;

export type Backend = (typeof backendNames)[number];

/** Index of a row. Never reused. */
export type RowNumber = number;

/** The rows of one key of one backend: `first` to `first + count - 1`, and a user's uploaded keys besides. */
export interface Unit {
  readonly backend: Backend;
  readonly user: number;
  readonly key: string;
  readonly first: RowNumber;
  readonly count: number;
  /** Which of the user's groups; 0 otherwise. */
  readonly group: number;
}

/** A row and where it belongs. */
export interface Place {
  readonly row: RowNumber;
  readonly unit: Unit;
}

const blockedMax = 6;
const groupMembersMax = 24;
const keysMin = 6;
const keysSpread = 5;
const firstGroupSeconds = 1_400_000_000;
const groupSecondsSpread = 300_000_000;

/** What a hash is drawn for; keeps draws for one user apart. */
const draws = { blocked: 1, groups: 2, keys: 3, stride: 4, created: 5, present: 6, members: 16 } as const;

export class Population {
  readonly seed: number;
  /** E.164, ascending. */
  readonly users: readonly string[];
  /** Rows that exist as places from the start; uploaded keys come after them. */
  readonly fixedRows: number;
  readonly #backends: ReadonlySet<string>;
  readonly #userOf = new Map<string, number>();
  /** Per user its first row, and the end. */
  readonly #offsets: Uint32Array;
  readonly #uploaded = new Map<number, RowNumber[]>();
  readonly #uploadedUsers: number[] = [];
  #lastUnit: Unit | undefined;

  /**
   * Deterministic from `seed` and `users` (at least `driverLimits.usersMin`). Only rows of `backends`
   * exist.
   */
  constructor(seed: number, users: number, backends: readonly string[] = backendNames) {
    assert(users >= driverLimits.usersMin, `a population has at least ${driverLimits.usersMin} users`);
    this.seed = seed;
    this.#backends = new Set(backends);
    this.users = drawPhoneNumbers(users, new Chance(seed, streams.population));
    this.#offsets = new Uint32Array(users + 1);
    for (const [user, number] of this.users.entries()) this.#userOf.set(number, user);
    for (let user = 0; user < users; user++) {
      this.#offsets[user + 1] = this.#offset(user) + this.#rowsOf(user);
    }
    this.fixedRows = this.#offset(users);
  }

  /** Places of rows, uploaded keys included. */
  get rows(): number {
    return this.fixedRows + this.#uploadedUsers.length;
  }

  number(user: number): string {
    const number = this.users[user];
    assert(number !== undefined, "the user exists");
    return number;
  }

  has(backend: Backend): boolean {
    return this.#backends.has(backend);
  }

  groupCount(user: number): number {
    const draw = this.#draw(user, draws.groups) % 10;
    return draw < 5 ? 0 : draw < 8 ? 1 : 2;
  }

  /** The unit of a user's backend; for groups, of the user's `group`-th group. */
  unit(user: number, backend: Backend, group = 0): Unit {
    let first = this.#offset(user);
    const number = this.number(user);
    switch (backend) {
      case "device_platform":
        return { backend, user, key: number, first, count: 1, group: 0 };
      case "profile_picture":
        return { backend, user, key: number, first: first + 1, count: 1, group: 0 };
      case "blocklist":
        return { backend, user, key: number, first: first + 2, count: this.#blocked(user), group: 0 };
      case "groups":
        first += 2 + this.#blocked(user);
        for (let earlier = 0; earlier < group; earlier++) first += this.#members(user, earlier);
        return {
          backend,
          user,
          key: this.#groupId(user, group),
          first,
          count: this.#members(user, group),
          group,
        };
      case "public_keys": {
        const count = this.#keys(user);
        return { backend, user, key: number, first: this.#offset(user + 1) - count, count, group: 0 };
      }
    }
  }

  /** The unit that holds a row. */
  unitOf(row: RowNumber): Unit {
    if (row >= this.fixedRows) return this.unit(this.#uploader(row), "public_keys");
    const user = this.#userAt(row);
    let place = row - this.#offset(user);
    if (place === 0) return this.unit(user, "device_platform");
    if (place === 1) return this.unit(user, "profile_picture");
    place -= 2 + this.#blocked(user);
    if (place < 0) return this.unit(user, "blocklist");
    const groups = this.groupCount(user);
    for (let group = 0; group < groups; group++) {
      place -= this.#members(user, group);
      if (place < 0) return this.unit(user, "groups", group);
    }
    return this.unit(user, "public_keys");
  }

  /** The sub of a row: a member's number, a key's id, or "". */
  subOf(unit: Unit, row: RowNumber): string {
    switch (unit.backend) {
      case "device_platform":
      case "profile_picture":
        return "";
      case "blocklist":
      case "groups":
        return this.number(this.#memberAt(unit, row - unit.first));
      case "public_keys":
        return keyId(
          row < this.fixedRows ? row - unit.first : unit.count + this.#uploadIndex(unit.user, row),
        );
    }
  }

  rowKeyOf(row: RowNumber): RowKey {
    const unit = this.unitOf(row);
    return rowKey(unit.backend, unit.key, this.subOf(unit, row));
  }

  /** The row with this key, or undefined if the population has no place for it. */
  rowOf(key: RowKey): RowNumber | undefined {
    return this.placeOf(splitRowKey(key))?.row;
  }

  /** As `rowOf`, with the row's unit. */
  placeOf({ backend, key, sub }: RowKeyParts): Place | undefined {
    const unit = this.#unitOfKey(backend, key);
    if (unit === undefined) return undefined;
    const row = this.rowOfSub(unit, sub);
    return row === undefined ? undefined : { row, unit };
  }

  /** The row of a unit with this sub, or undefined. */
  rowOfSub(unit: Unit, sub: string): RowNumber | undefined {
    switch (unit.backend) {
      case "device_platform":
      case "profile_picture":
        return sub === "" ? unit.first : undefined;
      case "blocklist":
      case "groups": {
        const index = this.#memberIndex(unit, sub);
        return index === undefined ? undefined : unit.first + index;
      }
      case "public_keys": {
        const index = Number(sub) - 1;
        if (keyId(index) !== sub || index < 0) return undefined;
        return index < unit.count ? unit.first + index : this.uploaded(unit.user)[index - unit.count];
      }
    }
  }

  /** Makes a place for a user's next one-time key. */
  addKeyRow(user: number): RowNumber {
    const row = this.rows;
    this.#uploadedUsers.push(user);
    const rows = this.#uploaded.get(user);
    if (rows === undefined) this.#uploaded.set(user, [row]);
    else rows.push(row);
    return row;
  }

  /** Rows that `addKeyRow` made for a user, in order. */
  uploaded(user: number): readonly RowNumber[] {
    return this.#uploaded.get(user) ?? [];
  }

  /** All rows of a unit, uploaded keys included. */
  *rowsOfUnit(unit: Unit): Generator<RowNumber> {
    for (let row = unit.first; row < unit.first + unit.count; row++) yield row;
    if (unit.backend === "public_keys") yield* this.uploaded(unit.user);
  }

  /** Whether a fixed row exists at the start: three places of four, all devices and keys. */
  presentAtStart(unit: Unit, row: RowNumber): boolean {
    switch (unit.backend) {
      case "device_platform":
      case "public_keys":
        return true;
      case "profile_picture":
      case "blocklist":
      case "groups":
        return mix(this.seed, row, draws.present) % 4 !== 0;
    }
  }

  /** How many places the rows of the backends have at the start: what an audit can see. */
  get places(): number {
    let places = 0;
    for (const unit of this.units()) places += unit.count;
    return places;
  }

  /** Every unit, in the order of the stores' keys but for members. */
  *units(): Generator<Unit> {
    for (const backend of [...backendNames].sort()) {
      if (!this.has(backend)) continue;
      for (let user = 0; user < this.users.length; user++) {
        const count = backend === "groups" ? this.groupCount(user) : 1;
        for (let group = 0; group < count; group++) yield this.unit(user, backend, group);
      }
    }
  }

  #offset(user: number): number {
    return this.#offsets[user] ?? 0;
  }

  #draw(user: number, what: number): number {
    return mix(this.seed, user, what);
  }

  #rowsOf(user: number): number {
    let rows = 2 + this.#blocked(user) + this.#keys(user);
    for (let group = 0; group < this.groupCount(user); group++) rows += this.#members(user, group);
    return rows;
  }

  #blocked(user: number): number {
    return this.#draw(user, draws.blocked) % (blockedMax + 1);
  }

  /** Most groups are small: the smaller of two draws. */
  #members(user: number, group: number): number {
    const draw = this.#draw(user, draws.members + group);
    const spread = groupMembersMax - 3;
    return 4 + Math.min((draw & 0xffff) % spread, (draw >>> 16) % spread);
  }

  #keys(user: number): number {
    return keysMin + (this.#draw(user, draws.keys) % keysSpread);
  }

  #groupId(user: number, group: number): string {
    const created = firstGroupSeconds + (this.#draw(user, draws.created) % groupSecondsSpread);
    return `${this.number(user)}-${created + group * 1_000}`;
  }

  /** Members are every `stride`-th user after the owner: different from each other and from the owner. */
  #stride(unit: Unit): number {
    const users = this.users.length;
    const draw = mix(this.seed, unit.user, draws.stride + (unit.backend === "groups" ? 32 + unit.group : 0));
    return 1 + (draw % Math.floor(users / (groupMembersMax + 2)));
  }

  #memberAt(unit: Unit, index: number): number {
    return (unit.user + (index + 1) * this.#stride(unit)) % this.users.length;
  }

  #memberIndex(unit: Unit, number: string): number | undefined {
    const member = this.#userOf.get(number);
    if (member === undefined) return undefined;
    const distance = (member - unit.user + this.users.length) % this.users.length;
    const index = distance / this.#stride(unit) - 1;
    return Number.isInteger(index) && index >= 0 && index < unit.count ? index : undefined;
  }

  #unitOfKey(backend: string, key: string): Unit | undefined {
    // Whoever reads a store in the order of its keys asks for the rows of one unit after another.
    const last = this.#lastUnit;
    if (last !== undefined && last.key === key && last.backend === backend) return last;
    this.#lastUnit = this.#findUnit(backend, key);
    return this.#lastUnit;
  }

  #findUnit(backend: string, key: string): Unit | undefined {
    const known = backendNames.find((name) => name === backend);
    if (known === undefined || !this.has(known)) return undefined;
    const dash = known === "groups" ? key.indexOf("-") : -1;
    const user = this.#userOf.get(dash === -1 ? key : key.slice(0, dash));
    if (user === undefined) return undefined;
    if (known !== "groups") return this.unit(user, known);
    for (let group = 0; group < this.groupCount(user); group++) {
      const unit = this.unit(user, "groups", group);
      if (unit.key === key) return unit;
    }
    return undefined;
  }

  /** The last user whose first row is not after `row`. */
  #userAt(row: RowNumber): number {
    let low = 0;
    let high = this.users.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#offset(middle) <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #uploader(row: RowNumber): number {
    const user = this.#uploadedUsers[row - this.fixedRows];
    assert(user !== undefined, "the row exists");
    return user;
  }

  #uploadIndex(user: number, row: RowNumber): number {
    const rows = this.uploaded(user);
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((rows[middle] ?? 0) < row) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Ids have a fixed width, so that their order as text is their order as numbers. */
function keyId(index: number): string {
  return String(index + 1).padStart(6, "0");
}
