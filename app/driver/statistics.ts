/** Counts and times of the traffic: what the progress shows and the result reports. */

import { build, type Histogram } from "hdr-histogram-js";
import type { DriverResult, LatencySummary } from "../messages.ts";

/** Microseconds; a request is given up long before. */
const latencyMax = 60_000_000;

export class Statistics {
  reads = 0;
  writes = 0;
  unknown = 0;
  readonly #refused = new Map<string, number>();
  readonly #readLatency = histogram();
  readonly #writeLatency = histogram();
  readonly #writesOfSeconds: number[] = [];
  #startedMs: number | undefined;
  #lastDoneMs = 0;
  #longestPauseMs = 0;

  /**
   * Traffic begins: pauses and seconds count from now. Called again after an interruption it changes
   * nothing.
   */
  start(nowMs: number): void {
    if (this.#startedMs !== undefined) return;
    this.#startedMs = nowMs;
    this.#lastDoneMs = nowMs;
  }

  readDone(sentMs: number, nowMs: number): void {
    this.reads++;
    this.#readLatency.recordValue(microseconds(sentMs, nowMs));
    this.#done(nowMs);
  }

  writeDone(sentMs: number, nowMs: number): void {
    this.writes++;
    this.#writeLatency.recordValue(microseconds(sentMs, nowMs));
    const second = Math.floor((nowMs - (this.#startedMs ?? nowMs)) / 1_000);
    while (this.#writesOfSeconds.length <= second) this.#writesOfSeconds.push(0);
    this.#writesOfSeconds[second] = (this.#writesOfSeconds[second] ?? 0) + 1;
    this.#done(nowMs);
  }

  /** Traffic ends: the last pause ends with it. */
  finish(nowMs: number): void {
    this.#done(nowMs);
  }

  refused(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  /** Median over the whole seconds of traffic; 0 before there is one. */
  get writesPerSecondMedian(): number {
    const whole = this.#writesOfSeconds.slice(0, -1).sort((a, b) => a - b);
    return whole[whole.length >>> 1] ?? 0;
  }

  get longestPauseMs(): number {
    return Math.round(this.#longestPauseMs);
  }

  get operations(): DriverResult["operations"] {
    return {
      reads: this.reads,
      writes: this.writes,
      refused: Object.fromEntries([...this.#refused].sort(([a], [b]) => (a < b ? -1 : 1))),
      unknown: this.unknown,
    };
  }

  get latency(): DriverResult["latency"] {
    return { read: summary(this.#readLatency), write: summary(this.#writeLatency) };
  }

  #done(nowMs: number): void {
    this.#longestPauseMs = Math.max(this.#longestPauseMs, nowMs - this.#lastDoneMs);
    this.#lastDoneMs = nowMs;
  }
}

function histogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: latencyMax,
    numberOfSignificantValueDigits: 3,
  });
}

function microseconds(fromMs: number, toMs: number): number {
  return Math.min(latencyMax, Math.max(1, Math.round((toMs - fromMs) * 1_000)));
}

function summary(latency: Histogram): LatencySummary {
  const milliseconds = (percentile: number): number => latency.getValueAtPercentile(percentile) / 1_000;
  return {
    p50Ms: milliseconds(50),
    p90Ms: milliseconds(90),
    p99Ms: milliseconds(99),
    maxMs: latency.maxValue / 1_000,
  };
}
