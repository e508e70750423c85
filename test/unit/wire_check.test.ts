import { describe, expect, expectTypeOf, it } from "vitest";
import { NanoError } from "../../src/base/errors.ts";
import type { Envelope } from "../../src/core/envelope.ts";
import { packBatch, unpackBatch } from "../../src/core/envelope_codec.ts";
import {
  type Definition,
  type From,
  genServer,
  noReply,
  type Pid,
  type Ref,
  type Self,
} from "../../src/index.ts";
import { simulateSeed, type World } from "../../src/simulation/index.ts";
import { cross, freezeDeep } from "../../src/wire/crossing.ts";
import type { Sendable } from "../../src/wire/sendable.ts";

class Money {
  readonly cents = 5;
}

interface State {
  readonly self: Self;
  readonly rows: unknown[];
  readonly waiting: From<unknown>[];
}

const box = genServer(import.meta.url, "box", {
  init: (_options: undefined, self): State => ({ self, rows: [{ n: 1 }], waiting: [] }),
  local: ["live"],
  call: {
    echo: (_state, message: unknown) => message,
    live: (_state, message: unknown) => message,
    rows: (state) => state.rows,
    wrong: () => ({ list: [new Money()] }),
    later: (state, _message: undefined, from: From<unknown>) => {
      state.waiting.push(from);
      return noReply;
    },
    change: (_state, message: { readonly rows: number[] }) => message.rows.push(1),
  },
  cast: {
    put: (state, message: unknown) => {
      state.rows.push(message);
    },
    answer: (state) => {
      for (const from of state.waiting.splice(0)) state.self.reply(from, { price: new Money() });
    },
    own: (state, message: { n: number }) => {
      message.n++;
      state.rows.push(message);
    },
    sendOwn: (state, message: unknown) => {
      const live = { n: 1, log: state.self.log, message };
      state.self.castSelf("own", live);
    },
  },
  info: (state, message) => {
    if (message.type === "message") state.rows.push(message.message);
  },
});

interface Place {
  readonly world: World;
  readonly ref: Ref<typeof box>;
  readonly pid: Pid;
  readonly send: (message: unknown) => void;
}

/** One box on the main thread of a system, in development or not. */
async function withBox<T>(development: boolean, use: (place: Place) => Promise<T>): Promise<T> {
  const { result } = await simulateSeed({ seed: 1 }, async (world) => {
    const node = await world.node("n", { development });
    const pid = await node.system.spawn(box, undefined, { name: "box" });
    return use({
      world,
      pid,
      ref: node.system.ref(box, pid),
      send: (message) => node.system.send(pid, message),
    });
  });
  return result;
}

/** Each of them, the path of what is wrong, and what is said. */
const faults: readonly [what: string, message: unknown, path: string, why: string][] = [
  ["an instance of a class", { a: [new Money()] }, "a.0", "a Money arrives as a plain object"],
  ["a function", { on: { done: () => 1 } }, "on.done", "a function can't be sent"],
  ["a symbol", [Symbol("s")], "0", "a symbol can't be sent"],
  ["a property named by a symbol", { [Symbol("s")]: 1 }, "Symbol(s)", "named by a symbol"],
  [
    "a getter",
    {
      get now() {
        return 1;
      },
    },
    "now",
    "a getter arrives as what it gave once",
  ],
  ["a property that is not enumerable", Object.defineProperty({}, "x", { value: 1 }), "x", "not enumerable"],
  ["a Buffer", { key: Buffer.from("a") }, "key", "a Buffer arrives as a Uint8Array"],
  ["a hole", { list: Object.assign(new Array(3), { 0: 1, 2: 2 }) }, "list.1", "a hole arrives as undefined"],
  ["-0 in a Map", new Map([["zero", -0]]), "zero", "-0 arrives as 0"],
  ["half a surrogate pair in a Set", new Set(["a\ud800"]), "0", "arrives as"],
  [
    "an operating error",
    { error: new NanoError("timeout", "late") },
    "error",
    "a NanoError arrives as an Error",
  ],
  ["a promise", { p: Promise.resolve(1) }, "p", "a Promise arrives as"],
  ["a weak collection", { w: new WeakMap() }, "w", "a WeakMap arrives as"],
  ["a name on a list", Object.assign([1], { name: "x" }), "name", "left out"],
];

const wholes: readonly [what: string, message: unknown][] = [
  ["plain data", { a: [1, -0, Number.NaN, null, undefined, "x\ud800", true, { b: undefined }] }],
  ["Map, Set and Date", { m: new Map([[{ k: 1 }, new Set([1, "a"])]]), d: new Date(5) }],
  ["bytes and views", [new Uint8Array([1]), new Float64Array([0.5]), new ArrayBuffer(3)]],
  ["a bigint and a regular expression", [2n ** 70n, /a/gi]],
  ["an object without prototype", Object.assign(Object.create(null), { a: 1 })],
  ["the same object twice", ((one: object) => [one, one])({ n: 1 })],
];

describe("what crosses a thread", () => {
  it.each(faults)("%s does not arrive as it is, and its path is named", (_, message, path, why) => {
    expect(cross(message)).toMatchObject({ fault: { path, why: expect.stringContaining(why) } });
  });

  it.each(wholes)("%s arrives as it is", (_, message) => {
    const crossed = cross(message);
    expect(crossed).not.toHaveProperty("fault");
    expect("arrived" in crossed && crossed.arrived).toEqual(message);
  });

  it("an error of the language arrives with its name, message and cause, and nothing else", () => {
    const crossed = cross(new RangeError("far", { cause: { near: 1 } }));
    expect(crossed).toMatchObject({ arrived: { name: "RangeError", message: "far", cause: { near: 1 } } });
    expect(cross(Object.assign(new Error("x"), { code: "E" }))).toMatchObject({ fault: { path: "code" } });
    expect(cross(new Error("x", { cause: new Money() }))).toMatchObject({ fault: { path: "cause" } });
  });

  it("what is in itself, or nested too deep, is told from what is wrong in it", () => {
    const cycle: Record<string, unknown> = {};
    cycle.inner = { cycle };
    expect(cross(cycle)).toEqual({ fault: { path: "inner.cycle", why: "it contains itself" } });
    let deep: unknown = 1;
    for (let level = 0; level < 2_000; level++) deep = [deep];
    expect(cross(deep)).toHaveProperty("fault");
    expect(cross({ after: 1 })).toEqual({ arrived: { after: 1 } });
  });

  it("is the codec's own judgement: what passes is the same by way of a batch", () => {
    for (const [, message] of wholes) {
      const envelope = {
        kind: "cast",
        to: 1,
        method: "m",
        from: undefined,
        trace: "",
        incarnation: 1,
        message,
      } as const;
      const [arrived] = unpackBatch(packBatch([envelope satisfies Envelope]));
      expect(cross(arrived?.message)).not.toHaveProperty("fault");
    }
  });
});

describe("in development", () => {
  it("a call, a cast and a message that would change on the way are refused at the sender, by name", async () => {
    await withBox(true, async ({ ref, send }) => {
      const message = { a: [new Money()] };
      const text =
        "call echo of box would not be the same on another thread at a.0: a Money arrives as a plain object";
      await expect(ref.call.echo(message)).rejects.toMatchObject({
        code: "bad_argument",
        message: text,
        details: { field: "message", path: "a.0", process: "box", method: "echo" },
      });
      expect(() => ref.cast.put(message)).toThrow("cast put of box");
      expect(() => send(message)).toThrow("a message to box");
      expect(await ref.call.rows()).toEqual([{ n: 1 }]);
    });
  });

  it("an answer that would change is an error of the call, whether it is given at once or later", async () => {
    await withBox(true, async ({ ref }) => {
      const details = { field: "reply", process: "box" };
      await expect(ref.call.wrong()).rejects.toMatchObject({
        code: "bad_argument",
        details: { ...details, method: "wrong", path: "list.0" },
      });
      const later = ref.call.later();
      ref.cast.answer();
      await expect(later).rejects.toMatchObject({ details: { ...details, method: "later", path: "price" } });
    });
  });

  it("a handler that changes a message crashes, and so does a sender that changes it later", async () => {
    await withBox(true, async ({ ref }) => {
      const message = { rows: [1] };
      ref.cast.put(message);
      expect(() => message.rows.push(2)).toThrow(TypeError);
      await expect(ref.call.change({ rows: [1] })).rejects.toMatchObject({
        code: "crashed",
        message: expect.stringContaining("object is not extensible"),
      });
    });
  });

  it("an answer is a copy: its process may go on with its state", async () => {
    await withBox(true, async ({ ref }) => {
      const rows = await ref.call.rows();
      ref.cast.put("more");
      await ref.call.echo();
      expect(rows).toEqual([{ n: 1 }]);
      rows.push("mine");
      expect(await ref.call.rows()).toEqual([{ n: 1 }, "more"]);
    });
  });

  it("what a process sends itself, and a method that is local, may hold anything", async () => {
    await withBox(true, async ({ ref }) => {
      const live = { done: () => 1 };
      expect(await ref.call.live(live)).toBe(live);
      ref.cast.sendOwn("x");
      await ref.call.echo();
      // Its answer is no message of its own: the log in it has methods.
      await expect(ref.call.rows()).rejects.toMatchObject({
        details: { field: "reply", path: "1.log.debug" },
      });
    });
  });
});

it("without development nothing is looked at, and what is sent is what arrives", async () => {
  await withBox(false, async ({ ref }) => {
    const message = { money: new Money() };
    expect(await ref.call.echo(message)).toBe(message);
    expect(Object.isFrozen(message)).toBe(false);
  });
});

it("what is frozen is frozen to its leaves, but for what JavaScript can't freeze", () => {
  const value = {
    list: [{ n: 1 }],
    map: new Map([["a", { n: 1 }]]),
    bytes: new Uint8Array(1),
    at: new Date(1),
  };
  freezeDeep(value);
  expect([value, value.list, value.list[0], value.map.get("a")].every((each) => Object.isFrozen(each))).toBe(
    true,
  );
  value.bytes[0] = 1;
  value.map.set("b", { n: 2 });
});

describe("the types of a ref", () => {
  const server = genServer(import.meta.url, "server", {
    init: (_options: undefined) => ({}),
    call: {
      plain: (_state, message: { a: Map<string, Date>; b?: readonly Uint8Array[] }): Pid | undefined =>
        message && undefined,
      take: (_state, _message: { job: { run: () => void } }): void => undefined,
      live: (): { readonly socket: { close(): void } } => ({ socket: { close: () => undefined } }),
      any: (_state, message: unknown): unknown => message,
    },
    cast: { hold: (_state, _message: readonly Promise<number>[]): void => undefined },
  });
  type Calls = Ref<typeof server>["call"];

  it("take what the codec carries, as it is", () => {
    expectTypeOf<Parameters<Calls["plain"]>[0]>().toEqualTypeOf<{
      a: Map<string, Date>;
      b?: readonly Uint8Array[];
    }>();
    expectTypeOf<ReturnType<Calls["plain"]>>().toEqualTypeOf<Promise<Pid | undefined>>();
    expectTypeOf<Parameters<Calls["any"]>[0]>().toEqualTypeOf<unknown>();
    interface Tree {
      readonly children: readonly Tree[];
      readonly label: string | undefined;
    }
    expectTypeOf<Sendable<Tree>>().toEqualTypeOf<Tree>();
    expectTypeOf<Sendable<{ d: Definition["name"]; e: RangeError; n: bigint }>>().toHaveProperty("d");
  });

  it("refuse what it does not, with a text that names the path", () => {
    expectTypeOf<
      Parameters<Calls["take"]>[0]
    >().toEqualTypeOf<"job.run is a function: it can't cross to another thread">();
    expectTypeOf<
      Awaited<ReturnType<Calls["live"]>>
    >().toEqualTypeOf<"socket.close is a function: it can't cross to another thread">();
    expectTypeOf<Sendable<Promise<1>>>().toEqualTypeOf<"it is a promise: it can't cross to another thread">();
    expectTypeOf<Sendable<{ readonly [key: string]: WeakMap<object, 1> }>>().not.toEqualTypeOf<{
      readonly [key: string]: WeakMap<object, 1>;
    }>();
    expectTypeOf<
      Sendable<{ s: symbol }>
    >().toEqualTypeOf<"s is a symbol: it can't cross to another thread">();
    const use = (ref: Ref<typeof server>): void => {
      // @ts-expect-error a function can't cross
      void ref.call.take({ job: { run: () => undefined } });
      // @ts-expect-error a promise can't cross
      ref.cast.hold([Promise.resolve(1)]);
      void ref.call.plain({ a: new Map() });
    };
    expect(use).toBeTypeOf("function");
  });
});
