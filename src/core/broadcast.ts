/**
 * A message to all workers of a factory. It is no job: it goes to each worker behind what that one has in hand, and
 * before what waits in the factory's backlog. Each worker's answer, or why there is none, is told apart.
 */

import { type ErrorData, toErrorData } from "../base/errors.ts";
import { deadlineIn, refusedOptions } from "./call_options.ts";
import type { CallOptions, CallsOf, CastsOf, Definition } from "./gen_server.ts";
import { formatPid, type Pid } from "./pid.ts";
import type { ForwardedRequest, Self } from "./self.ts";

/** What one worker answered. */
export type Heard<Value = unknown> =
  | { readonly worker: number; readonly ok: true; readonly value: Value }
  | { readonly worker: number; readonly ok: false; readonly error: ErrorData };

export interface BroadcastRequest extends Omit<ForwardedRequest, "deadlineMs"> {
  /** How long each worker may take, ms. */
  readonly timeoutMs: number;
}

/** What may be asked of all workers at once. The answers come in the workers' order, when the last one is there. */
export interface AllWays<D extends Definition> {
  readonly call: {
    readonly [K in keyof CallsOf<D>]: CallsOf<D>[K] extends (
      message: infer Message,
      ...rest: never
    ) => Promise<infer Value>
      ? undefined extends Message
        ? (message?: Message, options?: Pick<CallOptions, "timeoutMs">) => Promise<Heard<Value>[]>
        : (message: Message, options?: Pick<CallOptions, "timeoutMs">) => Promise<Heard<Value>[]>
      : never;
  };
  readonly cast: CastsOf<D>;
}

/** A worker's place: who has it may change. */
interface Place {
  readonly index: number;
  readonly pid: Pid | undefined;
}

export function askAll(
  self: Pick<Self, "ask" | "clock">,
  workers: readonly Place[],
  { kind, method, message, timeoutMs }: BroadcastRequest,
): Promise<Heard[]> {
  const refused = refusedOptions(method, timeoutMs, {});
  if (refused !== undefined) return Promise.reject(refused);
  const deadlineMs = deadlineIn(self.clock, timeoutMs);
  const ask = async (place: Place): Promise<Heard> => {
    const { index: worker, pid } = place;
    if (pid === undefined) {
      const error = { code: "noproc", message: `${method}: worker ${worker} is being started` };
      return { worker, ok: false, error };
    }
    try {
      return { worker, ok: true, value: await self.ask(pid, { kind, method, message, deadlineMs }) };
    } catch (error) {
      const data = toErrorData(error);
      // It did not take it, and another one has its place by now.
      if (place.pid !== undefined && place.pid !== pid && data.details?.untakenBy === formatPid(pid))
        return ask(place);
      return { worker, ok: false, error: data };
    }
  };
  return Promise.all(workers.map(ask));
}
