import { describe, expect, it } from "vitest";
import { readConfig } from "../../app/config.ts";
import { planText, refuseUnsafe } from "../../app/plan.ts";

describe("what can't keep its promise", () => {
  it("is refused before anything starts, with the field, the reason and the cure", () => {
    const unsafe = readConfig(undefined, { routing: { groups: "queue" } });
    expect(() => refuseUnsafe(unsafe)).toThrow(
      expect.objectContaining({
        code: "config",
        message: expect.stringMatching(/routing\.groups: .*overtake.*sticky_queue/),
        details: expect.objectContaining({ field: "routing.groups" }),
      }),
    );
    expect(planText(unsafe).refused).toBe(true);
  });

  it("is let pass where the kind needs no order", () => {
    const safe = readConfig(undefined, { routing: { public_keys: "queue", groups: "consistent_hash" } });
    expect(refuseUnsafe(safe)).toBe(safe);
    expect(planText(safe).text).toContain("public_keys (one_time_keys) routed by queue");
  });
});
