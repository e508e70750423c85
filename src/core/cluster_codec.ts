/**
 * Packs what one node says to another, and back: a flat array, the type first, then its fields in their order. As
 * records the fields' names took more time and bytes than what they name. Never throws away a field: the literals
 * below do not compile if a message gains one.
 */

import type { ClusterAddress } from "../seams/cluster.ts";
import { MessagePacker } from "../wire/codec.ts";
import { MessageReader } from "../wire/reader.ts";
import type { ClusterMessage } from "./cluster_calls.ts";
import type { Outcome } from "./envelope.ts";

// Both only cache: what a call returns does not depend on the calls before it.
const packer = new MessagePacker();
const reader = new MessageReader();

const codes = { call: 0, cast: 1, ping: 2, pong: 3, reply: 4, failed: 5 } as const;

/** The result owns its memory. Errors: `bad_argument` if the message holds what can't be packed. */
export function packClusterMessage(message: ClusterMessage): Uint8Array<ArrayBuffer> {
  return packer.pack(fieldsOf(message));
}

function fieldsOf(message: ClusterMessage): readonly unknown[] {
  switch (message.type) {
    case "call": {
      const { from, ref, name, method, timeoutMs } = message;
      return [codes.call, ...addressFields(from), ref, name, method, timeoutMs, message.message];
    }
    case "cast":
      return [codes.cast, message.name, message.method, message.message];
    case "ping":
      return [codes.ping, ...addressFields(message.from), message.refs];
    case "pong":
      return [codes.pong, message.node, message.unknown];
    case "reply": {
      const { ref, outcome } = message;
      return outcome.ok ? [codes.reply, ref, outcome.value] : [codes.failed, ref, outcome.error];
    }
  }
}

function addressFields({ node, thread, incarnation }: ClusterAddress): [string, number, number] {
  return [node, thread, incarnation];
}

/** Unpacks what `packClusterMessage` made. Throws on anything else. */
export function unpackClusterMessage(bytes: Uint8Array): ClusterMessage {
  reader.begin(bytes);
  reader.arrayLength();
  const message = readMessage(reader.number());
  reader.end();
  return message;
}

function readMessage(code: number): ClusterMessage {
  switch (code) {
    case codes.call: {
      const from = readAddress();
      const ref = reader.number();
      const name = reader.string();
      const method = reader.string();
      const timeoutMs = reader.number();
      return { type: "call", from, ref, name, method, message: reader.value(), timeoutMs };
    }
    case codes.cast:
      return { type: "cast", name: reader.string(), method: reader.string(), message: reader.value() };
    case codes.ping:
      return { type: "ping", from: readAddress(), refs: reader.value() as number[] };
    case codes.pong:
      return { type: "pong", node: reader.string(), unknown: reader.value() as number[] };
    case codes.reply:
      return { type: "reply", ref: reader.number(), outcome: { ok: true, value: reader.value() } };
    case codes.failed: {
      const ref = reader.number();
      const error = reader.value() as Extract<Outcome, { readonly ok: false }>["error"];
      return { type: "reply", ref, outcome: { ok: false, error } };
    }
    default:
      throw new TypeError(`no message between nodes has the code ${code}`);
  }
}

function readAddress(): ClusterAddress {
  return { node: reader.string(), thread: reader.number(), incarnation: reader.number() };
}
