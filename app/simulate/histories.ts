/**
 * Oracles I2 and I3 over what clients saw: each key's operations are linearizable, whatever side served them, with
 * unknown outcomes as such; a client's writes of a key happen in the order in which it asked for them; a one-time key
 * is handed to one request, ever.
 */

import { checkHistory, type HistoryOperation, type SequentialModel } from "../../src/simulation/index.ts";

/** What a client did to one register: a value of device_platform, or an edge of blocklist. */
export interface RegisterEvent extends HistoryOperation {
  readonly kind: "write" | "read";
  readonly value: string | null;
  /** When the written value expires, wall-clock ms; 0: never. */
  readonly expiresAtMs: number;
  /** The world's wall clock at the call and at the return. */
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TakeEvent {
  readonly requestId: string;
  /** Null: none was left. */
  readonly id: string | null;
}

interface Ordered {
  readonly register: string;
  readonly earlier: string;
  readonly later: string;
}

interface Held {
  readonly value: string;
  readonly expiresAtMs: number;
}

/** A register whose value may expire, seen by clocks that differ from the world's by at most `skewMs`. */
function expiring(skewMs: number): SequentialModel<Held | null, RegisterEvent> {
  return {
    initial: null,
    next(state, { kind, value, expiresAtMs, fromMs, toMs }) {
      if (kind === "write") return value === null ? null : { value, expiresAtMs };
      if (state === null) return value === null ? state : undefined;
      const expires = state.expiresAtMs === 0 ? Number.POSITIVE_INFINITY : state.expiresAtMs;
      if (value === null) return expires <= toMs + skewMs ? state : undefined;
      return value === state.value && expires > fromMs - skewMs ? state : undefined;
    },
    readOnly: ({ kind }) => kind === "read",
    show: (state) => (state === null ? "nothing" : `${state.value} until ${state.expiresAtMs}`),
    describe: ({ kind, value, expiresAtMs }) => `${kind} of ${value} until ${expiresAtMs}`,
  };
}

export class Histories {
  readonly #skewMs: number;
  readonly #registers = new Map<string, RegisterEvent[]>();
  readonly #takes = new Map<string, TakeEvent[]>();
  readonly #ordered: Ordered[] = [];
  readonly #offered = new Set<string>();

  /** `skewMs`: how far a node's clock is from the world's at most. */
  constructor(skewMs: number) {
    this.#skewMs = skewMs;
  }

  /** Of one register, in the order of the calls. */
  register(register: string): RegisterEvent[] {
    let events = this.#registers.get(register);
    if (events === undefined) {
      events = [];
      this.#registers.set(register, events);
    }
    return events;
  }

  /** The register held this before the first client came. */
  before(register: string, value: string): void {
    const at = { start: -2, end: -1, fromMs: 0, toMs: 0 };
    this.register(register).push({ kind: "write", value, expiresAtMs: 0, ...at, outcome: "ok" });
  }

  /** A client asked for both writes in this order, for the second before it had an answer to the first. */
  ordered(register: string, earlier: string, later: string): void {
    this.#ordered.push({ register, earlier, later });
  }

  registers(): readonly string[] {
    return [...this.#registers.keys()];
  }

  /** A one-time key that somebody tried to upload. */
  offered(key: string, id: string): void {
    this.#offered.add(`${key} ${id}`);
  }

  took(key: string, event: TakeEvent): void {
    const events = this.#takes.get(key) ?? [];
    this.#takes.set(key, [...events, event]);
  }

  /** What is wrong, in words; empty if nothing is. */
  faults(): string[] {
    return [...this.#registerFaults(), ...this.#orderFaults(), ...this.#takeFaults()];
  }

  #registerFaults(): string[] {
    const faults: string[] = [];
    const model = expiring(this.#skewMs);
    for (const [register, events] of this.#registers) {
      const verdict = checkHistory(model, events);
      if (!verdict.ok) faults.push(`${register} is not linearizable: ${verdict.reason}`);
    }
    return faults;
  }

  /** No value is written twice, so one that is seen when both writes have ended came last. */
  #orderFaults(): string[] {
    const faults: string[] = [];
    for (const { register, earlier, later } of this.#ordered) {
      const events = this.register(register);
      const done = (wanted: string): RegisterEvent | undefined =>
        events.find(({ kind, value, outcome }) => kind === "write" && value === wanted && outcome === "ok");
      const first = done(earlier);
      const second = done(later);
      if (first === undefined || second === undefined) continue;
      const endedAt = Math.max(first.end, second.end);
      if (events.some(({ kind, value, start }) => kind === "read" && value === earlier && start > endedAt))
        faults.push(`${register}: ${later} was asked for after ${earlier}, and written before it`);
    }
    return faults;
  }

  #takeFaults(): string[] {
    const faults: string[] = [];
    for (const [key, events] of this.#takes) {
      const holders = new Map<string, string>();
      const got = new Map<string, string | null>();
      for (const { requestId, id } of events) {
        const before = got.get(requestId);
        if (before !== undefined && before !== null && before !== id)
          faults.push(`${key}: request ${requestId} got ${before}, then ${id}`);
        got.set(requestId, id);
        if (id === null) continue;
        if (!this.#offered.has(`${key} ${id}`)) faults.push(`${key}: ${id} was never uploaded`);
        const holder = holders.get(id) ?? requestId;
        if (holder !== requestId) faults.push(`${key}: ${id} went to ${holder} and to ${requestId}`);
        holders.set(id, requestId);
      }
    }
    return faults;
  }
}
