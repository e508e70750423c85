/** The other end of post_message.ts. */

import { parentPort } from "node:worker_threads";
import type { PutMessage } from "../put_server.ts";
import type { PortMessage, PortReply } from "./post_message.ts";

const state = { handled: 0, version: 0 };

function take({ ref, version }: PutMessage): PortReply {
  state.handled++;
  state.version = version;
  return { ref, version: state.version };
}

parentPort?.on("message", (message: PortMessage<PutMessage>) => {
  if (!Array.isArray(message)) {
    const reply = take(message as PutMessage);
    if (reply.ref !== 0) parentPort?.postMessage(reply);
    return;
  }
  const replies: PortReply[] = [];
  for (const each of message as readonly PutMessage[]) {
    const reply = take(each);
    if (reply.ref !== 0) replies.push(reply);
  }
  if (replies.length > 0) parentPort?.postMessage(replies);
});
