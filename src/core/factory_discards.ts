/**
 * Who hears of a dispatcher's discarded jobs: the handler `jobs.onDiscard`, or, where that lives on another thread, a
 * discard_observer beside it, which calls it.
 *
 * discard_observer. State: the handler. Messages: cast discarded; call heard, answered behind all that was told before.
 */

import { toErrorData } from "../base/errors.ts";
import type { Logger } from "../seams/log.ts";
import type { DiscardedJob, DiscardReason, JobLimits } from "./factory_limits.ts";
import type { State } from "./factory_state.ts";
import { genServer } from "./gen_server.ts";

type Handler = JobLimits["onDiscard"];

interface ObserverState {
  readonly onDiscard: Handler;
  readonly log: Logger;
}

export const discard_observer = genServer(import.meta.url, "discard_observer", {
  init: (onDiscard: Handler, self): ObserverState => ({ onDiscard, log: self.log }),
  call: { heard: () => undefined },
  cast: {
    discarded: (state, { job, reason }: { readonly job: DiscardedJob; readonly reason: DiscardReason }) =>
      hear(state.onDiscard, job, reason, state.log),
  },
});

export function tellDiscarded({ options, self }: State, job: DiscardedJob, reason: DiscardReason): void {
  const { discardsTo, jobs } = options;
  if (discardsTo === undefined) hear(jobs?.onDiscard, job, reason, self.log);
  else self.ref(discard_observer, discardsTo).cast.discarded({ job, reason });
}

/** Resolves when the handler has had all that was discarded so far, or its thread does not answer. */
export async function discardsHeard({ options: { discardsTo }, self }: State): Promise<void> {
  if (discardsTo === undefined) return;
  try {
    await self.ref(discard_observer, discardsTo).call.heard();
  } catch (error) {
    self.log.error({ error: toErrorData(error) }, "nobody hears of discarded jobs");
  }
}

function hear(onDiscard: Handler, job: DiscardedJob, reason: DiscardReason, log: Logger): void {
  try {
    onDiscard?.(job, reason);
  } catch (error) {
    log.error({ error: toErrorData(error) }, "onDiscard threw");
  }
}
