/** The transport of a system with `threads: 0`: there is nobody else. */

import type { Transport } from "../seams/transport.ts";

export function singleThread<Message>(): Transport<Message> {
  return {
    thread: 0,
    incarnation: 1,
    post: () => false,
    onMessages: () => undefined,
    onThread: () => undefined,
  };
}
