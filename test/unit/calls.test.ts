/** Calls at the edges of what a host, a channel or the machine allows: each is answered once, and at once. */

import { spawnSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MessageChannel } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Envelope } from "../../src/core/envelope.ts";
import { envelopeCodec, packBatch } from "../../src/core/envelope_codec.ts";
import { genServer, type Ref } from "../../src/core/gen_server.ts";
import type { Host } from "../../src/core/host.ts";
import type { LocalSpawn } from "../../src/core/host_options.ts";
import { PendingCalls } from "../../src/core/pending_calls.ts";
import { nodeClock } from "../../src/platform/clock.ts";
import { ThreadTransport } from "../../src/platform/thread_transport.ts";
import { simulateSeed } from "../../src/simulation/index.ts";
import { refOf, silentLog, testHost } from "./support.ts";

const born: LocalSpawn = {
  name: "",
  link: undefined,
  mailbox: { max: 10, bytesMax: 1_000, whenFull: "refuse" },
  initTimeoutMs: 1_000,
};

const server = genServer(import.meta.url, "server", {
  init: () => ({}),
  call: {
    echo: (_state, value: unknown): unknown => value,
    unsendable: (): unknown => () => 1,
    /** A function can only be handed over on one thread, which no type may promise. */
    slow: async (_state, wait: unknown) => {
      await (wait as () => Promise<void>)();
      return "done";
    },
  },
});

async function started(host: Host): Promise<Ref<typeof server>> {
  return refOf(host, server, await host.spawnLocal(server, undefined, born));
}

describe("a call", () => {
  it("waits as long as it says after the wall clock was set back by as much as had passed", async () => {
    const { result } = await simulateSeed({ seed: 1 }, async (world) => {
      const node = await world.node("n");
      const ref = node.system.ref(server, await node.system.spawn(server, undefined));
      const slow = (): Promise<string> => ref.call.slow(() => world.sleep(50), { timeoutMs: 800 });
      const before = await slow();
      await world.sleep(600_000);
      node.wallClock.skewMs -= 599_999;
      return [before, await slow()];
    });
    expect(result).toEqual(["done", "done"]);
  });

  it("whose message throws when it is looked at is refused, and nothing waits for it", async () => {
    const host = testHost();
    const ref = await started(host);
    const message = {
      get broken() {
        throw new Error("a getter");
      },
    };
    await expect(ref.call.echo(message)).rejects.toMatchObject({ code: "bad_argument" });
    expect(host.pending.size).toBe(0);
    host.close();
  });

  it("whose signal is none is refused", async () => {
    const host = testHost();
    const ref = await started(host);
    for (const signal of [null, {}]) {
      const refused = ref.call.echo(1, { signal: signal as unknown as AbortSignal });
      await expect(refused).rejects.toMatchObject({ code: "bad_argument", details: { field: "signal" } });
    }
    host.close();
  });

  it("leaves nothing of its answer behind", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const pending = new PendingCalls(nodeClock());
    const callee = { node: "test", thread: 0, incarnation: 1, id: 1 };
    const settled = async (): Promise<WeakRef<object>> => {
      const { ref, answer } = pending.open(callee, "m", Number.POSITIVE_INFINITY);
      pending.settle(ref, { ok: true, value: new Uint8Array(1_000) });
      return new WeakRef((await answer) as object);
    };
    const answered = await settled();
    await new Promise((resolve) => setTimeout(resolve, 5));
    collect();
    expect(answered.deref()).toBeUndefined();
  });
});

describe("a start", () => {
  it("waits for an init of another realm's promise", async () => {
    const foreign = genServer(import.meta.url, "foreign", {
      init: (): Promise<{ n: number }> => runInNewContext("Promise.resolve({ n: 1 })"),
      call: { n: (state) => state.n },
    });
    const host = testHost();
    const ref = refOf(host, foreign, await host.spawnLocal(foreign, undefined, born));
    expect(await ref.call.n()).toBe(1);
  });

  it("fails when its process ended before init began to wait", async () => {
    const dying = genServer(import.meta.url, "dying", {
      init: (_: undefined, self) => {
        self.exit(self.pid, "killed");
        return new Promise<object>(() => undefined);
      },
    });
    await expect(testHost().spawnLocal(dying, undefined, born)).rejects.toMatchObject({ code: "crashed" });
  });
});

describe("between two threads", () => {
  type Codec = typeof envelopeCodec;

  function connected(codec: Codec = envelopeCodec): [ThreadTransport<Envelope>, ThreadTransport<Envelope>] {
    const end = (thread: number): ThreadTransport<Envelope> =>
      new ThreadTransport({ thread, incarnation: 1, codec, log: silentLog });
    const ends: [ThreadTransport<Envelope>, ThreadTransport<Envelope>] = [end(0), end(1)];
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => {
      for (const each of ends) each.close();
    });
    ends[0].connect({ thread: 1, incarnation: 1 }, port1);
    ends[1].connect({ thread: 0, incarnation: 1 }, port2);
    return ends;
  }

  it("an answer that can't be sent is refused at once", async () => {
    const [here, there] = connected();
    const callee = await started(testHost({}, there));
    const ref = refOf(testHost({}, here), server, callee.target);
    await expect(ref.call.unsendable(undefined, { timeoutMs: 2_000 })).rejects.toMatchObject({
      code: "bad_argument",
    });
  });

  it("a batch that can't be read is lost and counted, and others arrive", async () => {
    let isSpoilt = true;
    const unpack: Codec["unpack"] = (columns) => {
      if (isSpoilt) throw new RangeError("spoilt");
      return envelopeCodec.unpack(columns);
    };
    const [here, there] = connected({ ...envelopeCodec, unpack });
    const heard: unknown[] = [];
    there.onMessages((envelopes) => heard.push(...envelopes.map(({ message }) => message)));
    const cast = (message: unknown): Envelope => ({
      kind: "cast",
      to: 1,
      method: "m",
      message,
      from: undefined,
      trace: "",
      incarnation: 1,
    });
    here.post(1, cast("lost"));
    await expect.poll(() => there.unreadable).toBe(1);
    isSpoilt = false;
    here.post(1, cast("heard"));
    await expect.poll(() => heard).toEqual(["heard"]);
  });

  it("what could be packed but not read is refused, so that it takes no other message along", () => {
    let deep: unknown = 1;
    for (let level = 0; level < 1_100; level++) deep = new Map([[1, deep]]);
    const envelope = {
      kind: "cast",
      to: 1,
      method: "m",
      from: undefined,
      trace: "",
      incarnation: 1,
    } as const;
    expect(() => packBatch([{ ...envelope, message: deep }])).toThrow(/nested/);
  });
});

it("a defect in the queue is an uncaught exception, whatever a process does with rejections", () => {
  const executor = new URL("../../src/platform/executor.js", import.meta.url).href;
  const program = `
    const { nodeExecutor } = await import(${JSON.stringify(executor)});
    nodeExecutor.soon(() => { throw new Error("a defect"); });`;
  const flags = ["--unhandled-rejections=warn", "--input-type=module", "--eval", program];
  const { status, stderr } = spawnSync(process.execPath, flags, { encoding: "utf8" });
  expect(status).toBe(1);
  expect(stderr).toContain("Error: a defect");
});
