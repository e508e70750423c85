/**
 * Keeps a simulation's code from the real world: while an event happens, and all that follows from it until the next
 * one, whatever reads a real clock, draws real chance or starts a real timer throws `RealWorldError`, which names the
 * seam to use instead. The simulation fails by it, even if an actor's caller or supervisor makes light of the error.
 *
 * The globals are replaced once for all simulations of the process that run, and put back when the last one ends; they
 * belong to the process, so this is the one place here with state of a module. Code beside the simulation uses them as
 * ever: the guard is down whenever the event loop goes on.
 *
 * It does not see: named imports of Node's modules, what a module does while it is loaded, other threads.
 */

/** Code of a simulation has reached for the real world. */
export class RealWorldError extends Error {
  override readonly name = "RealWorldError";
}

/** Of the simulation whose code runs now. */
const inside: { guard: WorldGuard | undefined } = { guard: undefined };
let guarded = 0;
let putBack: (() => void)[] = [];

export class WorldGuard {
  #reached: RealWorldError | undefined;

  begin(): void {
    if (guarded++ === 0) putBack = replaceGlobals();
  }

  end(): void {
    if (--guarded > 0) return;
    for (const undo of putBack.splice(0)) undo();
  }

  /** From here on code is the simulation's. */
  enter(): void {
    inside.guard = this;
  }

  /** The event loop goes on with others' code. */
  leave(): void {
    inside.guard = undefined;
  }

  /** For what must meet the real world, and what follows from it is the simulation's again: a module that is loaded. */
  async outside<T>(work: () => Promise<T>): Promise<T> {
    this.leave();
    try {
      return await work();
    } finally {
      this.enter();
      process.nextTick(() => this.leave());
    }
  }

  /** Throws what somebody did since the last time. */
  check(): void {
    if (this.#reached !== undefined) throw this.#reached;
  }

  refuse(what: string, instead: string): never {
    const text = `${what} reaches the real world, which is not the same in the next run: use ${instead}`;
    const error = new RealWorldError(text);
    this.#reached ??= error;
    throw error;
  }
}

const seams = {
  clock: "self.clock.now() or .monotonicMs(), in a scenario world.nowMs",
  chance: "self.random.next(site) or .bytes(site, count), in a scenario world.chance(site)",
  timer: "self.castAfter or self.sleep, in a scenario world.sleep",
  deadline: "the option timeoutMs of a call",
  network: "a resource of the process, which the test replaces",
} as const;

/** Returns what puts the globals back. */
function replaceGlobals(): (() => void)[] {
  const { clock, chance, timer, deadline, network } = seams;
  const timers = ["setTimeout", "setInterval", "setImmediate"];
  return [
    replaceDate(),
    replace(Math, "random", "Math.random()", chance),
    ...timers.map((name) => replace(globalThis, name, `${name}()`, timer)),
    replace(performance, "now", "performance.now()", clock),
    replace(process.hrtime, "bigint", "process.hrtime.bigint()", clock),
    replace(process, "hrtime", "process.hrtime()", clock),
    replace(crypto, "randomUUID", "crypto.randomUUID()", chance),
    replace(crypto, "getRandomValues", "crypto.getRandomValues()", chance),
    replace(AbortSignal, "timeout", "AbortSignal.timeout()", deadline),
    replace(globalThis, "fetch", "fetch()", network),
  ];
}

function replace(owner: object, name: string, what: string, instead: string): () => void {
  const apply = (original: (...args: unknown[]) => unknown, self: unknown, args: unknown[]): unknown => {
    inside.guard?.refuse(what, instead);
    return Reflect.apply(original, self, args);
  };
  return put(owner, name, (original) => new Proxy(original, { apply }));
}

/** A date of a number that is given is only another shape of the number. */
function replaceDate(): () => void {
  const { clock } = seams;
  const putNow = replace(Date, "now", "Date.now()", clock);
  const putDate = put(
    globalThis,
    "Date",
    (original) =>
      new Proxy(original, {
        apply: (target, self, args) => {
          inside.guard?.refuse("Date()", clock);
          return Reflect.apply(target, self, args);
        },
        construct: (target, args, newTarget) => {
          if (args.length === 0) inside.guard?.refuse("new Date()", clock);
          return Reflect.construct(target, args, newTarget) as object;
        },
      }),
  );
  return () => {
    putDate();
    putNow();
  };
}

type AnyFunction = (...args: unknown[]) => unknown;

function put(owner: object, name: string, wrapped: (original: AnyFunction) => AnyFunction): () => void {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const value = wrapped(Reflect.get(owner, name) as AnyFunction);
  Object.defineProperty(owner, name, {
    value,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? false,
  });
  return () => {
    if (own === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, own);
  };
}
