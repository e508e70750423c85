/** Where a system's crash capsules go: a folder of the machine's disk, the same one for all of its threads. */

import { resolve } from "node:path";
import { NanoError } from "../base/errors.ts";
import { capsuleLimits } from "../base/limits.ts";
import { Capsules } from "../core/capsules.ts";
import type { Clock } from "../seams/clock.ts";
import type { Logger } from "../seams/log.ts";
import { nodeDisk } from "./disk.ts";

export interface CapsuleFolder {
  readonly directory: string;
  /** The oldest above this number are removed. Default: 50. Each has at most 16 MiB. */
  readonly filesMax?: number;
}

/** With an absolute path: threads share a working directory, but programs change it. Errors: `bad_argument`. */
export function capsuleFolder(
  given: string | CapsuleFolder | undefined,
): Required<CapsuleFolder> | undefined {
  if (given === undefined) return undefined;
  const { directory, filesMax = capsuleLimits.filesMax } =
    typeof given === "string" ? { directory: given } : given;
  const isRight =
    typeof directory === "string" && directory !== "" && Number.isSafeInteger(filesMax) && filesMax >= 1;
  if (isRight) return { directory: resolve(directory), filesMax };
  const text = "capsules must be a folder, or { directory, filesMax: 1 or more }";
  throw new NanoError("bad_argument", text, { field: "capsules" });
}

/** The option of a host. */
export function capsulesIn(
  folder: CapsuleFolder | undefined,
  clock: Clock,
  log: Logger,
): { readonly capsules?: Capsules } {
  return folder === undefined ? {} : { capsules: new Capsules({ ...folder, disk: nodeDisk(), clock, log }) };
}
