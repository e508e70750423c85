/**
 * Two ends of a channel (src/platform/channel.ts) in one thread, with rings so small that batches wait for room and go
 * through the port. What needs two threads is in threads.test.ts; every order of accesses to the ring is in test/race.
 */

import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { channelLimits, KiB } from "../../src/base/limits.ts";
import { Channel, type ChannelLimits, type Codec } from "../../src/platform/channel.ts";
import { RingWatch } from "../../src/platform/ring_watch.ts";
import { ColumnReader } from "../../src/wire/column_reader.ts";
import { ColumnWriter } from "../../src/wire/columns.ts";

const writer = new ColumnWriter();
const reader = new ColumnReader();

const codec: Codec<unknown> = {
  pack: (messages) => {
    writer.begin();
    for (const message of messages) writer.value(message);
    return writer.end();
  },
  unpack: (columns) => {
    reader.begin(columns);
    const messages: unknown[] = [];
    while (!reader.atEnd) messages.push(reader.value());
    reader.end();
    return messages;
  },
};

interface End {
  readonly channel: Channel<unknown>;
  readonly heard: unknown[];
  /** Does something when a message comes. */
  onMessage: (message: unknown) => void;
}

const small: ChannelLimits = {
  ...channelLimits,
  ringBytes: 1 * KiB,
  batchMessagesMax: 8,
  batchMessagesMin: 2,
};

function endOf(port: MessagePort, limits: ChannelLimits): End {
  const heard: unknown[] = [];
  const channel = new Channel(
    port,
    codec,
    {
      onMessages: (messages) => {
        heard.push(...messages);
        for (const message of messages) end.onMessage(message);
      },
      onClose: () => heard.push("closed"),
      onUnsendable: (_, error) => heard.push(error),
      onUnreadable: (error) => heard.push(error),
    },
    limits,
    new RingWatch(),
  );
  const end: End = { channel, heard, onMessage: () => undefined };
  channel.start();
  onTestFinished(() => channel.close());
  return end;
}

function connected(limits: ChannelLimits = small): [End, End] {
  const { port1, port2 } = new MessageChannel();
  return [endOf(port1, limits), endOf(port2, limits)];
}

function post({ channel }: End, messages: readonly unknown[]): void {
  for (const message of messages) expect(channel.post(message)).toBe(true);
  channel.flush();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

describe("messages arrive once each and in their order", () => {
  test("of whatever size: small ones in the ring, those too large for it through the port", async () => {
    const text = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: "binary", maxLength: 40 }));
    const message = fc.oneof(
      fc.integer(),
      text,
      // A ring of 1 KiB holds at most half of that in one batch.
      fc.integer({ min: 300, max: 3_000 }).map((length) => "x".repeat(length)),
      fc.uint8Array({ minLength: 0, maxLength: 1_500 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(message, { maxLength: 12 }), { maxLength: 12 }), async (batches) => {
        const [here, there] = connected();
        for (const batch of batches) post(here, batch);
        const all = batches.flat();
        await until(() => there.heard.length >= all.length);
        expect(there.heard).toStrictEqual(all);
        here.channel.close();
        there.channel.close();
      }),
      { numRuns: 100 },
    );
  });

  test("lone surrogates, text beyond ASCII and beyond Latin-1 as they were sent", async () => {
    const [here, there] = connected({ ...small, ringBytes: 64 * KiB });
    const texts = ["ascii", "é", "日本", "\uD800", "a\uDC00b", "😀", ""];
    for (const text of texts) post(here, [text]);
    await until(() => there.heard.length === texts.length);
    expect(there.heard).toStrictEqual(texts);
  });

  test("over the window in bytes, which holds back what goes through the port", async () => {
    const all = Array.from({ length: 40 }, (_, index) => new Uint8Array(1_500).fill(index));
    const limits = { ...small, windowBytes: 2 * KiB };
    const [here, there] = connected(limits);
    for (const each of all) post(here, [each]);
    await until(() => there.heard.length === all.length);
    expect(there.heard).toStrictEqual(all);
    // The same to a port where nobody takes anything.
    const { port1, port2 } = new MessageChannel();
    const alone = endOf(port1, limits);
    for (const each of all) post(alone, [each]);
    const sent: unknown[] = [];
    for (let next = receiveMessageOnPort(port2); next !== undefined; next = receiveMessageOnPort(port2)) {
      sent.push(next.message);
    }
    expect(sent).toStrictEqual([
      expect.any(SharedArrayBuffer),
      ...[1, 2].map(() => expect.objectContaining({ text: "" })),
    ]);
  });

  test("when the bell that says that there is room is found by the look for a large batch behind it", async () => {
    const [here, there] = connected();
    post(here, ["first"]);
    post(there, ["first"]);
    await until(() => here.heard.length === 1 && there.heard.length === 1);
    // All that follows is in one turn, so that no port is heard. One end is awake: it gets no bell for a batch.
    const few = Array.from({ length: channelLimits.lookAgainMessages }, () => "few");
    post(there, few);
    expect(here.channel.look()).toBe(true);
    const many = Array.from({ length: 400 }, (_, index) => index);
    post(here, many);
    // The other one takes what is in the ring, and rings because there is room.
    there.channel.look();
    expect(there.heard.length).toBeLessThan(many.length);
    post(there, ["x".repeat(2_000)]);
    here.channel.look();
    expect(here.heard).toHaveLength(2 + few.length);
    await until(() => there.heard.length > many.length);
    expect(there.heard).toStrictEqual(["first", ...many]);
  });

  test("from an end that closes with a full ring, before its end is told", async () => {
    const [here, there] = connected();
    const all = Array.from({ length: 2_000 }, (_, index) => (index % 97 === 0 ? "x".repeat(2_000) : index));
    post(here, all);
    here.channel.close();
    expect(here.channel.post("after")).toBe(false);
    await until(() => there.heard.includes("closed"));
    expect(there.heard).toStrictEqual([...all, "closed"]);
  });

  test("from an end that is known to be gone before anybody saw its port close", () => {
    const [here, there] = connected();
    const all = Array.from({ length: 2_000 }, (_, index) => (index % 97 === 0 ? "x".repeat(2_000) : index));
    post(here, all);
    here.channel.close();
    there.channel.finish();
    expect(there.heard).toStrictEqual([...all, "closed"]);
  });
});

test("two ends that fill each other's rings while they take from their own both go on to the end", async () => {
  const ends = connected();
  const each = 20_000;
  const sent = [0, 0];
  const flood = (side: 0 | 1): void => {
    for (let i = 0; i < 50 && (sent[side] ?? 0) < each; i++) {
      if (ends[side].channel.post(sent[side])) sent[side] = (sent[side] ?? 0) + 1;
    }
    ends[side].channel.flush();
  };
  let pressureMax = 0;
  for (const side of [0, 1] as const) ends[side].onMessage = () => flood(side);
  flood(0);
  flood(1);
  await until(() => {
    pressureMax = Math.max(pressureMax, ends[0].channel.pressure(), ends[1].channel.pressure());
    return ends.every(({ heard }) => heard.length >= each);
  });
  const all = Array.from({ length: each }, (_, index) => index);
  for (const { heard } of ends) expect(heard).toStrictEqual(all);
  // More waited than the ring has words: it was full.
  expect(pressureMax * small.queueMessagesMax).toBeGreaterThan(small.ringBytes / 8);
});

test("a handler that throws does not stop its ring: what comes after is heard", async () => {
  const [here, there] = connected();
  const thrown: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => thrown.push(error.message));
  onTestFinished(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  there.onMessage = (message) => {
    if (message === 3) throw new Error("thrown by a handler");
  };
  const all = Array.from({ length: 500 }, (_, index) => index);
  for (const each of all) post(here, [each]);
  await until(() => there.heard.length === all.length);
  expect(there.heard).toStrictEqual(all);
  expect(thrown).toStrictEqual(["thrown by a handler"]);
});
