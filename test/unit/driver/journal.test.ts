import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DriverEvent } from "../../../app/driver/events.ts";
import { Journal } from "../../../app/driver/journal.ts";

const header = Buffer.from("settings");
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "nanoactor-journal-"));
  path = join(directory, "journal");
});

afterEach(() => rmSync(directory, { recursive: true }));

function recover(): { readonly journal: Journal; readonly events: DriverEvent[] } {
  const events: DriverEvent[] = [];
  const journal = Journal.recover(path, header, (event) => events.push(event));
  return { journal, events };
}

function put(operation: number): DriverEvent {
  return { type: "put", operation, row: operation * 2 };
}

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const time = fc.double({ noNaN: true });
const anyEvent: fc.Arbitrary<DriverEvent> = fc.oneof(
  fc.record({ type: fc.constantFrom("put" as const, "remove" as const), operation: u32, row: u32 }),
  fc.record({
    type: fc.constant("upload" as const),
    operation: u32,
    user: u32,
    rows: fc.array(u32, { maxLength: 255 }),
  }),
  fc.record({ type: fc.constant("take" as const), operation: u32, user: u32, request: u32 }),
  fc.record({ type: fc.constantFrom("acknowledged" as const, "refused" as const), operation: u32 }),
  fc.record({ type: fc.constant("taken" as const), operation: u32, row: u32, upload: u32 }),
  fc.record({ type: fc.constant("unknown" as const), operation: u32, settledAtMs: time }),
  fc.record({ type: fc.constant("tick" as const), operation: u32, nowMs: time }),
  fc.record({ type: fc.constant("settled" as const), row: u32, operation: u32, removes: fc.boolean() }),
  fc.constant({ type: "incarnation" } as const),
  fc.record({ type: fc.constant("restart" as const), settledAtMs: time }),
);

describe("the journal", () => {
  it("gives back every event of every flush, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.array(anyEvent)), (flushes) => {
        const journal = Journal.create(path, header);
        for (const events of flushes) {
          for (const event of events) journal.append(event);
          journal.flush();
        }
        journal.close();
        const recovered = recover();
        recovered.journal.close();
        expect(recovered.events).toEqual(flushes.flat());
        expect(recovered.journal.recovered).toBe(flushes.flat().length);
      }),
      { numRuns: 50 },
    );
  });

  it("hands what was flushed to the operating system at once, and nothing before", () => {
    const journal = Journal.create(path, header);
    const bytes = readFileSync(path).length;
    journal.append(put(1));
    expect(readFileSync(path).length).toBe(bytes);
    journal.flush();
    expect(readFileSync(path).length).toBe(journal.bytes);
    expect(recover().events).toEqual([put(1)]);
    journal.close();
  });

  it("ends at a torn tail, whatever byte it was torn at, and goes on there", () => {
    const journal = Journal.create(path, header);
    journal.append(put(1));
    journal.flush();
    const whole = journal.bytes;
    journal.append(put(2));
    journal.append(put(3));
    journal.close();
    const bytes = readFileSync(path);
    for (let length = whole; length < bytes.length; length++) {
      writeFileSync(path, bytes.subarray(0, length));
      const recovered = recover();
      expect(recovered.events).toEqual([put(1)]);
      recovered.journal.append(put(4));
      recovered.journal.close();
      expect(recover().events).toEqual([put(1), put(4)]);
    }
  });

  it("ends before a block whose bytes have changed", () => {
    const journal = Journal.create(path, header);
    journal.append(put(1));
    journal.flush();
    const whole = journal.bytes;
    journal.append(put(2));
    journal.close();
    const bytes = readFileSync(path);
    for (let at = whole; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      writeFileSync(path, changed);
      expect(recover().events).toEqual([put(1)]);
    }
  });

  it("does not take zeros behind its end for blocks", () => {
    Journal.create(path, header).close();
    appendFileSync(path, Buffer.alloc(64));
    expect(recover().events).toEqual([]);
  });

  it("refuses another population's header, and a file without one", () => {
    Journal.create(path, Buffer.from("other settings")).close();
    expect(() => recover()).toThrow("other settings");
    truncateSync(path, 3);
    expect(() => recover()).toThrow("no whole header");
  });

  it("reads more than it keeps in memory at once", () => {
    const journal = Journal.create(path, header);
    const count = 1_200_000; // 11 MB: three reads
    for (let operation = 1; operation <= count; operation++) {
      journal.append(put(operation));
      if (operation % 1_000 === 0) journal.flush();
    }
    journal.close();
    let last = 0;
    Journal.recover(path, header, (event) => {
      if (event.type === "put" && event.operation === last + 1) last = event.operation;
    }).close();
    expect(last).toBe(count);
  });
});
