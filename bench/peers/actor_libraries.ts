/**
 * Other actor libraries of one thread, each with an actor that does what put_server does. comedy is left out: it brings
 * 36 packages of 2018, among them one with an install script and its own `@types/node` 10.
 */

import { dispatch, query, type Ref, spawn, start, stop } from "nact";
import { createActor, fromTransition } from "xstate";
import type { Caller } from "../interleaved.ts";
import { type PutMessage, putMessage } from "../put_server.ts";

export interface LocalPeer {
  readonly call: Caller;
  /** Resolves when they were all handled. */
  readonly cast: Caller;
  stop(): void;
}

interface State {
  handled: number;
  version: number;
}

function take(state: State, { version }: PutMessage): State {
  state.handled++;
  state.version = version;
  return state;
}

interface NactRequest {
  readonly message: PutMessage;
  readonly sender: Ref<number> | undefined;
}

/** Its call has a deadline, as ours: the third argument of `query`. */
export function startNact(): LocalPeer {
  const system = start();
  const behaviour = (state: State | undefined, { message, sender }: NactRequest): State => {
    const next = take(state ?? { handled: 0, version: 0 }, message);
    if (sender !== undefined) dispatch(sender, next.version);
    return next;
  };
  const actor: Ref<NactRequest> = spawn(system, behaviour, "put_server");
  const message = putMessage();
  const timeoutMs = 5_000;
  const put = () => query(actor, (sender: Ref<number>) => ({ message, sender }), timeoutMs);
  return {
    call: async (calls) => {
      for (let i = 0; i < calls; i++) await put();
    },
    cast: async (casts) => {
      for (let i = 0; i < casts; i++) dispatch(actor, { message, sender: undefined });
      await put();
    },
    stop: () => stop(system),
  };
}

interface XstateEvent {
  readonly type: "put";
  readonly message: PutMessage;
  readonly answer: ((version: number) => void) | undefined;
}

/** Its cheapest actor. It has no calls: the event carries what resolves the caller's promise. No deadline. */
export function startXstate(): LocalPeer {
  const machine = fromTransition(
    (state: State, { message, answer }: XstateEvent): State => {
      const next = take(state, message);
      answer?.(next.version);
      return next;
    },
    { handled: 0, version: 0 },
  );
  const actor = createActor(machine).start();
  const message = putMessage();
  const put = () => new Promise<number>((answer) => actor.send({ type: "put", message, answer }));
  return {
    call: async (calls) => {
      for (let i = 0; i < calls; i++) await put();
    },
    cast: async (casts) => {
      for (let i = 0; i < casts; i++) actor.send({ type: "put", message, answer: undefined });
      await put();
    },
    stop: () => void actor.stop(),
  };
}
