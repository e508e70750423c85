/**
 * The upgrade of a whole factory: fresh threads, which load the next version as it stands on the disk now; the workers,
 * one after the other (factory_upgrade.ts); then the end of the threads that nobody uses any more. A thread never
 * unloads a module, so it is the threads that go.
 */

import { NanoError } from "../base/errors.ts";
import { factory_dispatcher } from "./gen_factory.ts";
import type { Definition, Ref } from "./gen_server.ts";
import type { Host } from "./host.ts";
import type { Platform } from "./platform.ts";
import { makeRef } from "./ref.ts";
import type { supervisor } from "./supervisor.ts";

export interface UpgradeOptions {
  /**
   * Fresh worker threads for the workers, which are spread over them. Default: as many as they are on now; none if they
   * are on the main thread.
   */
  readonly threads?: number;
  /** How long each worker of the next version must live before the next one changes, ms. Default: 1,000. */
  readonly watchMs?: number;
}

const watchMsDefault = 1_000;

export interface SystemParts {
  readonly host: Host;
  readonly platform: Platform;
  readonly root: Ref<typeof supervisor>;
}

const untilDone = { timeoutMs: Number.POSITIVE_INFINITY };

export async function upgradeFactory(
  system: SystemParts,
  name: string,
  { module, name: exported }: Definition,
  { threads, watchMs = watchMsDefault }: UpgradeOptions,
): Promise<void> {
  checkNumber("threads", threads);
  checkNumber("watchMs", watchMs);
  const dispatcher = makeRef(system.host, system.host.client, factory_dispatcher, name);
  const before = (await dispatcher.call.threads()).filter((thread) => thread !== 0);
  const fresh: number[] = [];
  try {
    for (let wanted = threads ?? before.length; wanted > 0; wanted--)
      fresh.push(await addThread(system.platform));
    const next = { definition: { module, name: exported }, threads: fresh.length === 0 ? undefined : fresh };
    await dispatcher.call.upgrade({ ...next, watchMs }, untilDone);
    // A dispatcher that has to start again begins with what its factory is now.
    const spec = await system.root.call.getChildSpec(name);
    await system.root.call.changeChild({ ...spec, options: { ...(spec.options as object), version: next } });
  } catch (error) {
    await retireUnused(system, fresh);
    throw error;
  }
  if (fresh.length > 0) await retireUnused(system, before);
}

/** Errors: `bad_argument`; what its set-up threw, `timeout`. */
export function addThread({ addThread }: Platform): Promise<number> {
  if (addThread !== undefined) return addThread();
  const text = "a system that was started without worker threads can't get any";
  return Promise.reject(new NanoError("bad_argument", text, { field: "threads" }));
}

/** Errors: `running` if a process lives there; `not_found`, `timeout`. */
export async function retireThread(
  { host, platform }: Pick<SystemParts, "host" | "platform">,
  thread: number,
): Promise<void> {
  const processes =
    host.peers.incarnationOf(thread) === undefined ? 0 : await host.requests.processesOn(thread);
  if (processes > 0)
    throw new NanoError("running", `${processes} processes live on thread ${thread}`, { processes });
  if (platform.retireThread === undefined || thread === 0)
    throw new NanoError("not_found", `no worker thread ${thread} can be ended`, { field: "thread" });
  await platform.retireThread(thread);
}

/** Others may live there, too: then it stays. */
async function retireUnused(system: SystemParts, threads: readonly number[]): Promise<void> {
  for (const thread of threads) {
    try {
      await retireThread(system, thread);
    } catch (error) {
      system.host.log.info({ thread, error: String(error) }, "a thread stays after an upgrade");
    }
  }
}

function checkNumber(field: keyof UpgradeOptions, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  const text = `${field} must be a whole number of 0 or more, not ${String(value)}`;
  throw new NanoError("bad_argument", text, { field });
}
