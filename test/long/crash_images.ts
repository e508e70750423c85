/**
 * `crash_images [--images N] [--seed N] [--recorded] [--save FILE]`: N crash images of a run that is traced now, or of
 * the recorded one where nothing can be traced, each recovered and judged; a tenth as many of a run that went on from
 * one of them; then two twins, which must fail: the same trace as if no sync were in it, and a run whose syncs are
 * off. Exit codes: 0 all is as it must be, 1 not so.
 */

import { Command, InvalidArgumentError } from "commander";
import { Xoshiro128 } from "../../src/base/xoshiro128.ts";
import { imageAt, type SampleOptions, type SampleResult, sampleImages } from "../crash/crash_images.ts";
import { straceRefusal, type Trace } from "../crash/strace.ts";
import { loadTrace, recordedTrace, saveTrace, type TracedRun, traceVictim } from "../crash/traced_run.ts";

interface Flags {
  readonly images: number;
  readonly seed: number;
  readonly recorded?: boolean;
  readonly save?: string;
}

/** Twins fail at once: a tenth of the images finds them many times over. */
const fewShare = 10;

const faultsShown = 4;

async function main(flags: Flags): Promise<void> {
  const refusal = flags.recorded === true ? "the recorded one was asked for" : straceRefusal();
  if (refusal !== "") say(`no run is traced, the recorded trace is taken: ${refusal}`);
  const trace = refusal === "" ? await traceVictim(runOf(flags)) : loadTrace(recordedTrace);
  describe("trace", trace);
  if (flags.save !== undefined) {
    saveTrace(flags.save, trace);
    return;
  }
  const { images, seed } = flags;
  const options = {
    images,
    seed,
    syncs: true,
    entries: "strict",
    readerShare: 0.25,
    systemShare: 0.03,
  } as const;
  const few = Math.ceil(images / fewShare);
  const twin = { ...options, images: few, readerShare: 0, systemShare: 0 };
  const honest = [await sample("the run", trace, options)];
  const twins = [await sample("twin: no sync in the model", trace, { ...twin, syncs: false })];
  if (refusal === "") {
    honest.push(await sampleSecond(flags, trace, { ...options, images: few }));
    const unsynced = await traceVictim({ ...runOf(flags), durability: "os" });
    twins.push(await sample("twin: a run with its syncs off", unsynced, twin));
  } else say("left out: a second loss of power, and the twin with its syncs off");
  const isProven = honest.every(({ faulty }) => faulty === 0) && twins.every(({ faulty }) => faulty > 0);
  process.exitCode = isProven ? 0 : 1;
}

function runOf({ seed }: Flags): TracedRun {
  return { lives: 3, acknowledgements: 100, durability: "group", seed };
}

/** The power goes in the first run, another one finds what was left, and the power goes again. */
async function sampleSecond(flags: Flags, first: Trace, options: SampleOptions): Promise<SampleResult> {
  const random = Xoshiro128.seeded(flags.seed);
  const at = Math.floor(first.length * (0.5 + random.float() / 2));
  const found = imageAt(first, at, options, random);
  const trace = await traceVictim({ ...runOf(flags), lives: 1, seed: flags.seed + 100 }, found);
  describe(`trace of a run that finds an image of ${at}`, trace);
  return sample("that run", trace, options);
}

function describe(name: string, { events, reports, length }: Trace): void {
  const count = (type: string): number => events.filter((event) => event.type === type).length;
  const acknowledged = reports.filter(({ line }) => line.startsWith("a ")).length;
  say(
    `${name}: ${length} lines; ${count("write")} writes, ${count("sync")} syncs, ${count("sync_folder")} of folders; ` +
      `${acknowledged} acknowledged writes`,
  );
}

async function sample(name: string, trace: Trace, options: SampleOptions): Promise<SampleResult> {
  const start = performance.now();
  const result = await sampleImages(trace, options);
  const seconds = ((performance.now() - start) / 1_000).toFixed(0);
  say(
    `${name}: ${result.images} images in ${seconds} s, ${result.distinct} distinct, ` +
      `${result.incomplete} with something not yet durable, ${result.suspect} with a suspect log, ` +
      `${result.systems} with a whole system started; ` +
      `${result.faulty} with faults`,
  );
  for (const fault of result.faults.slice(0, faultsShown)) say(`  ${fault}`);
  return result;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number");
  return Number(text);
}

await new Command("crash_images")
  .option("--images <n>", "", wholeNumber, 1_000)
  .option("--seed <n>", "draws the load, the points and what was written", wholeNumber, 1)
  .option("--recorded", "of the recorded trace")
  .option("--save <file>", "keeps the trace, and does nothing else")
  .action(main)
  .parseAsync();
