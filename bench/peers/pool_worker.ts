/** The task that piscina and tinypool run; the other workers offer it in their library's way. */

import type { PutMessage } from "../put_server.ts";

const state = { handled: 0, version: 0 };

export default function put({ version }: PutMessage): number {
  state.handled++;
  state.version = version;
  return state.version;
}
