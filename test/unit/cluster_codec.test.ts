/** What one node says to another arrives as it was, whatever kind of message it is. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NanoError } from "../../src/base/errors.ts";
import type { ClusterMessage } from "../../src/core/cluster_calls.ts";
import { packClusterMessage, unpackClusterMessage } from "../../src/core/cluster_codec.ts";
import { MessagePacker } from "../../src/wire/codec.ts";

const address = fc.record({ node: fc.string(), thread: fc.nat(), incarnation: fc.nat() });
const payload = fc.oneof(
  fc.constant(null),
  fc.constant(undefined),
  fc.string(),
  fc.integer(),
  fc.uint8Array(),
  fc.array(fc.record({ key: fc.string(), terms: fc.array(fc.nat()) })),
);
const outcome = fc.oneof(
  fc.record({ ok: fc.constant(true as const), value: payload }),
  fc.record({
    ok: fc.constant(false as const),
    error: fc.record({ code: fc.string(), message: fc.string() }),
  }),
);
const message: fc.Arbitrary<ClusterMessage> = fc.oneof(
  fc.record({
    type: fc.constant("call" as const),
    from: address,
    ref: fc.nat(),
    name: fc.string(),
    method: fc.string(),
    message: payload,
    timeoutMs: fc.nat(),
  }),
  fc.record({
    type: fc.constant("cast" as const),
    name: fc.string(),
    method: fc.string(),
    message: payload,
  }),
  fc.record({ type: fc.constant("ping" as const), from: address, refs: fc.array(fc.nat()) }),
  fc.record({ type: fc.constant("pong" as const), node: fc.string(), unknown: fc.array(fc.nat()) }),
  fc.record({ type: fc.constant("reply" as const), ref: fc.nat(), outcome }),
);

describe("messages between nodes", () => {
  it("arrive as they were sent", () => {
    fc.assert(
      fc.property(message, (sent) => {
        expect(unpackClusterMessage(packClusterMessage(sent))).toEqual(sent);
      }),
    );
  });

  it("are refused when they are cut short, or go on", () => {
    const bytes = packClusterMessage({ type: "pong", node: "a", unknown: [1, 2] });
    expect(() => unpackClusterMessage(bytes.subarray(0, -1))).toThrow(RangeError);
    expect(() => unpackClusterMessage(Uint8Array.of(...bytes, 0))).toThrow(RangeError);
  });

  it("are refused when their kind is not known", () => {
    expect(() => unpackClusterMessage(new MessagePacker().pack([17, 1]))).toThrow(/code 17/);
  });

  it("are refused with a clear error when they hold a function", () => {
    const sent = { type: "cast", name: "a", method: "b", message: { f: () => 1 } } as const;
    expect(() => packClusterMessage(sent)).toThrow(NanoError);
  });
});
