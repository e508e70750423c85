/** A recorded run, and what a loss of power may leave of it: docs/reference/crash-model.md. More: `npm run long`. */

import { expect, it } from "vitest";
import { type SampleOptions, sampleImages } from "./crash_images.ts";
import { loadTrace, recordedTrace } from "./traced_run.ts";

const trace = loadTrace(recordedTrace);
const options: SampleOptions = {
  images: 40,
  seed: 5,
  syncs: true,
  entries: "strict",
  readerShare: 0,
  systemShare: 0,
};

it("whatever a loss of power leaves, what was acknowledged is there and what differs is marked", async () => {
  const { images, faults, incomplete } = await sampleImages(trace, options);
  expect(faults).toEqual([]);
  expect(images).toBe(options.images);
  expect(incomplete).toBeGreaterThan(images / 2);
}, 120_000);

it("a reader that opens a store before its owner does leaves it what was synced, and no more", async () => {
  expect((await sampleImages(trace, { ...options, images: 20, readerShare: 1 })).faults).toEqual([]);
}, 120_000);

it("without its syncs the same run loses what was acknowledged", async () => {
  const { faulty } = await sampleImages(trace, { ...options, images: 10, syncs: false });
  expect(faulty).toBeGreaterThan(0);
}, 120_000);
