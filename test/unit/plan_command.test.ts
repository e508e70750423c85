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

  it("is a source that others write, by the field of the file; what could be planned is not run here", () => {
    const lossy = readConfig(undefined, { sourceWrittenBy: "others", sourceFeed: "lossy" });
    const { text, refused } = planText(lossy);
    expect(refused).toBe(true);
    expect(text).toMatch(/REFUSED sourceFeed: .*hazard 58/);
    expect(text).toMatch(/REFUSED sourceWriteStop: .*hazards 33 and 37/);
    const planned = readConfig(undefined, { ...lossy, sourceFeed: "gap_detecting", sourceWriteStop: true });
    expect(planText(planned).refused).toBe(false);
    expect(() => refuseUnsafe(planned)).toThrow(/sourceWrittenBy: this command has no adapter/);
  });
});
