/**
 * Samples crash images of a traced run and has each recovered in another process: what was acknowledged before the
 * power went must be there, and what differs must have a mark or lie in a range.
 */

import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import type { ImageAnswer, ImageRequest } from "../fixtures/image_opener.ts";
import { type CrashImage, DiskModel, type ModelOptions } from "./disk_model.ts";
import { Journal, judge } from "./judge.ts";
import { judged, KilledDirectory, sites } from "./kill_cycle.ts";
import type { Trace } from "./strace.ts";
import { type Found, writeDisk } from "./traced_run.ts";

export interface SampleOptions extends ModelOptions {
  readonly images: number;
  readonly seed: number;
  /** The share of images whose stores a reader opens before their owner does. */
  readonly readerShare: number;
  /** The share of images on which a whole system is started, until both sides are equal. */
  readonly systemShare: number;
}

export interface SampleResult {
  readonly images: number;
  /** How many of them are unlike all others. */
  readonly distinct: number;
  /** Images of a moment when something had been written and was not yet durable. */
  readonly incomplete: number;
  /** Images on which a whole system was started: a share of them, and each with a log that is suspect. */
  readonly systems: number;
  /** Images with a log whose last frame may have been acknowledged, for all that can be told. */
  readonly suspect: number;
  readonly faulty: number;
  /** Of the first images with faults. */
  readonly faults: readonly string[];
}

const shards = 2;
const faultsMax = 10;
const opener = fileURLToPath(new URL("../fixtures/image_opener.js", import.meta.url));

export async function sampleImages(trace: Trace, options: SampleOptions): Promise<SampleResult> {
  const random = Xoshiro128.seeded(options.seed);
  const model = new DiskModel(trace, options, random);
  const examiner = new Examiner(options, random);
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "nanoactor-images-"));
  const seen = new Set<string>();
  const faults: string[] = [];
  const counts = { images: 0, incomplete: 0, faulty: 0 };
  let reported = 0;
  try {
    for (const at of crashPoints(trace, options.images, random)) {
      while ((trace.reports[reported]?.at ?? Number.POSITIVE_INFINITY) <= at) {
        examiner.journal.read(trace.reports[reported++]?.line ?? "");
      }
      const image = booted(model.image(at));
      const found = await examiner.examine(join(folder, String(counts.images)), image);
      seen.add(digest(image));
      counts.images++;
      if (image.pending > 0) counts.incomplete++;
      if (found.length > 0) counts.faulty++;
      if (found.length > 0 && faults.length < faultsMax) {
        faults.push(`at ${at} (${image.choice}): ${found.slice(0, 3).join("; ").replaceAll("\0", "|")}`);
      }
    }
    const { systems, suspect } = examiner;
    return { ...counts, systems, suspect, distinct: seen.size, faults };
  } finally {
    examiner.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One image, and what had been reported before the power went: what a next run finds. */
export function imageAt(trace: Trace, at: number, options: ModelOptions, random: Xoshiro128): Found {
  const disk = booted(new DiskModel(trace, options, random).image(at));
  return { disk, reports: trace.reports.filter((report) => report.at <= at) };
}

function digest({ files }: CrashImage): string {
  const hash = createHash("sha1");
  for (const [path, bytes] of files) hash.update(`${path} ${bytes.byteLength}\0`).update(bytes);
  return hash.digest("hex");
}

/**
 * Half of them anywhere, half while something is on its way to the disk, where a moment of the trace is short; of
 * these a quarter before the first acknowledgement, while everything is made.
 */
function crashPoints({ events, reports, length }: Trace, count: number, random: Xoshiro128): number[] {
  const firstAt = reports.find(({ line }) => line.startsWith("a "))?.at ?? length;
  const early = events.filter(({ start }) => start < firstAt);
  const points = Array.from({ length: count }, (_, i) => {
    const among = i % 8 === 1 ? early : events;
    const event = among[Math.floor(random.float() * among.length)];
    if (i % 2 === 0 || event === undefined) return Math.floor(random.float() * (length + 1));
    const span = Math.min(event.end, length) - event.start;
    return event.start + Math.floor(random.float() * (span + 1));
  });
  return points.sort((a, b) => a - b);
}

/** LMDB remembers in its meta pages which boot wrote them; these are of this page size, and the machine is another. */
const metaOffsets = [0, 2_048, 4_096];
const bootIdOffset = 160;

/** The image as the machine finds it when it is up again. */
function booted(image: CrashImage): CrashImage {
  for (const [path, bytes] of image.files) if (path.endsWith("data.mdb")) changeBoot(bytes);
  return image;
}

function changeBoot(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const offset of metaOffsets.map((meta) => meta + bootIdOffset)) {
    if (offset + 8 > bytes.byteLength) return;
    const boot = view.getBigInt64(offset, true);
    if (boot !== 0n) view.setBigInt64(offset, boot + 1n, true);
  }
}

/** Has images recovered, and judges what is left. */
class Examiner {
  readonly journal = new Journal();
  systems = 0;
  suspect = 0;
  readonly #options: SampleOptions;
  readonly #random: Xoshiro128;
  readonly #owner = new Opener();
  readonly #reader = new Opener();

  constructor(options: SampleOptions, random: Xoshiro128) {
    this.#options = options;
    this.#random = random;
  }

  close(): void {
    this.#owner.close();
    this.#reader.close();
  }

  /** What is wrong with this image, in words. */
  async examine(directory: string, image: CrashImage): Promise<readonly string[]> {
    const readerFirst = this.#random.float() < this.#options.readerShare;
    const wholeSystem = this.#random.float() < this.#options.systemShare;
    const suspectBefore = this.suspect;
    writeDisk(directory, image);
    const faults = [...(readerFirst ? await this.#besideReader(directory) : await this.#recover(directory))];
    rmSync(directory, { recursive: true });
    // What a suspect log says must end in a range, and so in sides that are equal.
    const mustStart = wholeSystem || (this.#options.systemShare > 0 && this.suspect > suspectBefore);
    if (!mustStart) return faults;
    this.systems++;
    writeDisk(directory, image);
    faults.push(...(await new KilledDirectory(directory, this.journal, true).recover(this.#random)));
    rmSync(directory, { recursive: true });
    return faults;
  }

  async #besideReader(directory: string): Promise<readonly string[]> {
    const held = await this.#reader.ask({ directory, sites, shards, work: "hold" });
    const faults = await this.#recover(directory);
    if (typeof held === "string") return [`a reader before the owner died: ${held}`, ...faults];
    await this.#reader.ask({ directory, sites, shards, work: "release" });
    return [...held.faults, ...faults];
  }

  async #recover(directory: string): Promise<readonly string[]> {
    const answer = await this.#owner.ask({ directory, sites, shards, work: "recover" });
    if (typeof answer === "string") return [`the process that opened it died: ${answer}`];
    if (answer.faults.length > 0 || answer.seen === undefined) return answer.faults;
    if (Object.values(answer.seen.sites).some(({ damaged }) => damaged > 0)) this.suspect++;
    return judge(answer.seen, this.journal, judged, { settled: false, powerLost: true }).faults;
  }
}

/** A torn environment can make LMDB wait for ever; a whole one is recovered in a tenth of a second. */
const openMsMax = 10_000;

/** One process that opens images; another one when it has died of one. */
class Opener {
  #process: ChildProcess | undefined;

  /** The answer, or what the process died of. */
  ask(request: ImageRequest): Promise<ImageAnswer | string> {
    const asked = this.#running();
    return new Promise((resolve) => {
      const timer = setTimeout(() => asked.kill("SIGKILL"), openMsMax);
      const end = (answer: ImageAnswer | string | Promise<ImageAnswer | string>): void => {
        clearTimeout(timer);
        asked.off("message", end);
        asked.off("exit", died);
        resolve(answer);
      };
      const died = (code: number | null, signal: string | null): void =>
        end(signal === "SIGKILL" ? `no answer in ${openMsMax} ms` : (signal ?? `exit code ${code}`));
      asked.once("message", end);
      asked.once("exit", died);
      asked.send(request, (error) => {
        if (error === null) return;
        // It died of the image before, when it had answered: this one is another process's.
        if (this.#process === asked) this.#process = undefined;
        end(this.ask(request));
      });
    });
  }

  close(): void {
    this.#process?.kill("SIGKILL");
  }

  #running(): ChildProcess {
    if (this.#process?.connected === true) return this.#process;
    const started = fork(opener, { serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"] });
    this.#process = started;
    return started;
  }
}
