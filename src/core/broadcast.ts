/**
 * A message to all workers of a factory. It is no job: it goes to each worker behind what that one has in hand, and
 * before what waits in the factory's backlog. Each worker's answer, or why there is none, is told apart.
 */

import { type ErrorData, toErrorData } from "../base/errors.ts";
import { deadlineIn, refusedOptions } from "./call_options.ts";
import type { CallOptions, CallsOf, CastsOf, Definition } from "./gen_server.ts";
import type { Pid } from "./pid.ts";
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

export function askAll(
  self: Pick<Self, "ask" | "clock">,
  workers: readonly { readonly index: number; readonly pid: Pid | undefined }[],
  { kind, method, message, timeoutMs }: BroadcastRequest,
): Promise<Heard[]> {
  const refused = refusedOptions(method, timeoutMs, {});
  if (refused !== undefined) return Promise.reject(refused);
  const deadlineMs = deadlineIn(self.clock, timeoutMs);
  const answers = workers.map(async ({ index: worker, pid }): Promise<Heard> => {
    if (pid === undefined) {
      const error = { code: "noproc", message: `${method}: worker ${worker} is being started` };
      return { worker, ok: false, error };
    }
    try {
      return { worker, ok: true, value: await self.ask(pid, { kind, method, message, deadlineMs }) };
    } catch (error) {
      return { worker, ok: false, error: toErrorData(error) };
    }
  });
  return Promise.all(answers);
}
