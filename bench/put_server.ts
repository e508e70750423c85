/**
 * put_server: what the benches of the runtime call, on any thread. State: how many messages it took, the newest
 * version. Messages: call put (answers the version), call handled (answers how many it took), cast put.
 */

import { genServer } from "../src/index.ts";

/** About 100 bytes, as small requests of a backend are. */
export interface PutMessage {
  readonly ref: number;
  readonly op: "put";
  readonly key: string;
  readonly value: string;
  readonly version: number;
}

export function putMessage(ref = 1): PutMessage {
  return { ref, op: "put", key: "+5511987654321", value: "v".repeat(64), version: 7 };
}

const different = 1_024;

/** For ways that pack messages: all differ, so that nothing gains by meeting the same strings again. */
const messages = Array.from(
  { length: different },
  (_, i): PutMessage => ({
    ...putMessage(i + 1),
    key: `+551198765${1_000 + i}`,
    value: String.fromCharCode(97 + (i % 26)).repeat(60) + String(1_000 + i),
    version: i * 7_919,
  }),
);
let next = 0;

export function nextMessage(): PutMessage {
  next = (next + 1) % different;
  return messages[next] ?? putMessage();
}

interface State {
  handled: number;
  version: number;
}

export const put_server = genServer(import.meta.url, "put_server", {
  init: (): State => ({ handled: 0, version: 0 }),
  call: {
    put: (state, message: PutMessage): number => {
      take(state, message);
      return state.version;
    },
    handled: (state): number => state.handled,
  },
  cast: { put: take },
});

function take(state: State, { version }: PutMessage): void {
  state.handled++;
  state.version = version;
}
