/** What reaches a server on another thread, and how such ways are pressed. */

import { setImmediate as turn } from "node:timers/promises";
import { build, type Histogram } from "hdr-histogram-js";
import { nextMessage, type PutMessage } from "./put_server.ts";

export interface ThreadContender {
  /** Answered with the message's version. */
  put(message: PutMessage): Promise<unknown>;
  /** Sends so many without an answer to each; resolves when all were handled. */
  burst(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Calls per second with so many in flight, over about `ms`. */
export async function closedCallsPerSecond(
  { put }: Pick<ThreadContender, "put">,
  { inFlight, ms }: { readonly inFlight: number; readonly ms: number },
): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + ms;
  let calls = 0;
  let running = true;
  const lane = async (): Promise<void> => {
    while (running) {
      await put(nextMessage());
      // The clock costs a tenth of a call.
      if ((++calls & 15) === 0 || inFlight === 1) running = performance.now() < until;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return (calls * 1_000) / (performance.now() - startedAt);
}

const burstSize = 2_000;

/** One burst's report overlaps the next one's messages. */
const burstsInFlight = 4;

/** Messages per second that go one way, until all were handled. */
export async function oneWayPerSecond(
  { burst }: Pick<ThreadContender, "burst">,
  ms: number,
): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + ms;
  let sent = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      await burst(burstSize);
      sent += burstSize;
    }
  };
  await Promise.all(Array.from({ length: burstsInFlight }, lane));
  return (sent * 1_000) / (performance.now() - startedAt);
}

/** Times of calls in µs, one in flight, over about `ms`: the median. */
export async function medianCallUs({ put }: Pick<ThreadContender, "put">, ms: number): Promise<number> {
  const latency = nanosecondHistogram();
  const until = performance.now() + ms;
  for (let at = performance.now(); at < until; ) {
    await put(nextMessage());
    const answeredAt = performance.now();
    latency.recordValue(Math.max(1, Math.round((answeredAt - at) * 1e6)));
    at = answeredAt;
  }
  return latency.getValueAtPercentile(50) / 1_000;
}

/**
 * The p99 in µs of calls that are due at `perSecond`, evenly, whatever the answers do, counted from when they were due.
 * Between two arrivals the loop turns instead of sleeping: a timer is late by up to a millisecond.
 */
export async function openLoopP99Us(
  { put }: Pick<ThreadContender, "put">,
  { perSecond, ms }: { readonly perSecond: number; readonly ms: number },
): Promise<number> {
  const latency = nanosecondHistogram();
  const apartMs = 1_000 / perSecond;
  const count = Math.floor(ms / apartMs);
  const startedAt = performance.now();
  let answered = 0;
  const send = async (dueAt: number): Promise<void> => {
    await put(nextMessage());
    latency.recordValue(Math.max(1, Math.round((performance.now() - dueAt) * 1e6)));
    answered++;
  };
  const calls: Promise<void>[] = [];
  while (calls.length < count) {
    const due = Math.min(count, Math.floor((performance.now() - startedAt) / apartMs) + 1);
    while (calls.length < due) calls.push(send(startedAt + calls.length * apartMs));
    await turn();
  }
  await Promise.all(calls);
  if (answered !== count) throw new Error(`${answered} of ${count} calls were answered`);
  return latency.getValueAtPercentile(99) / 1_000;
}

function nanosecondHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000_000,
    numberOfSignificantValueDigits: 3,
  });
}
