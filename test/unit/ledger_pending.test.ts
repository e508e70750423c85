import { expect, it } from "vitest";
import { Ledger } from "../../actors/ledger.ts";

const key = "device_platform\u0000+4915112345678\u0000";

it("a key whose next version is not yet committed here is not queued again: its commit queues it", () => {
  const ledger = new Ledger(1_000_000);
  ledger.admit(key, "device_platform/+49", [1, 1, 1], 0);
  ledger.settle(key);
  const { taken } = ledger.take("queuer", [key]);
  ledger.admit(key, "device_platform/+49", [1, 1, 2], 0);
  const confirmed = () => taken.map((each) => ({ taken: each, outcome: "confirmed" as const }));
  expect(ledger.release(confirmed())).toEqual({ again: [], cleared: [] });

  expect(ledger.settle(key)).toBe("queuer");
  const next = ledger.take("queuer", [key]).taken;
  expect(
    ledger.release(next.map((each) => ({ taken: each, outcome: "confirmed" as const }))).cleared,
  ).toEqual([{ key, version: [1, 1, 2], healed: false }]);
});

it("a key that was written and committed while it was sent is queued again", () => {
  const ledger = new Ledger(1_000_000);
  ledger.admit(key, "device_platform/+49", [1, 1, 1], 0);
  ledger.settle(key);
  const { taken } = ledger.take("queuer", [key]);
  ledger.admit(key, "device_platform/+49", [1, 1, 2], 0);
  ledger.settle(key);
  const results = taken.map((each) => ({ taken: each, outcome: "confirmed" as const }));
  expect(ledger.release(results)).toEqual({ again: [key], cleared: [] });
});
