/** Amends of a key: one at a time, with nothing pending, and read again if something was admitted meanwhile. */

import { describe, expect, it } from "vitest";
import { type AmendJob, AmendQueue } from "../../../actors/amend_queue.ts";
import { rowKey } from "../../../actors/records.ts";

const base = rowKey("public_keys", "+49151");
const other = rowKey("public_keys", "+49152");

function job(name: string, of = base): AmendJob {
  return { type: "renew", base: of, key: `${of}${name}` };
}

describe("the queue of amends", () => {
  it("gives one job of a key at a time, in order, and other keys beside it", () => {
    const queue = new AmendQueue();
    const [one, two, three] = [job("1"), job("2"), job("3", other)];
    for (const each of [one, two, three]) queue.push(each);
    expect([queue.begin(base), queue.begin(base), queue.begin(other)]).toEqual([one, undefined, three]);
    queue.finish(one);
    expect(queue.begin(base)).toBe(two);
    queue.finish(two);
    expect(queue.begin(base)).toBeUndefined();
  });

  it("waits until every admitted row of the key is settled, of that key only", () => {
    const queue = new AmendQueue();
    const one = job("1");
    queue.admitted(base);
    queue.admitted(base);
    queue.admitted(other);
    queue.push(one);
    expect(queue.begin(base)).toBeUndefined();
    queue.settled(base);
    expect(queue.begin(base)).toBeUndefined();
    queue.settled(base);
    expect(queue.begin(base)).toBe(one);
  });

  it("a read is stale if anything was admitted since, even if it is settled already", () => {
    const queue = new AmendQueue();
    const [one, two] = [job("1"), job("2")];
    queue.push(one);
    queue.push(two);
    queue.begin(base);
    queue.admitted(base);
    queue.settled(base);
    expect(queue.movedSince(one)).toBe(true);
    // It goes back before the others, and a new read begins with a clean slate.
    expect(queue.begin(base)).toBe(one);
    expect(queue.movedSince(one)).toBe(false);
    queue.finish(one);
    expect(queue.begin(base)).toBe(two);
  });

  it("a read that nothing disturbed is not stale, whatever other keys do", () => {
    const queue = new AmendQueue();
    const one = job("1");
    queue.push(one);
    queue.begin(base);
    queue.admitted(other);
    expect(queue.movedSince(one)).toBe(false);
  });

  it("what is admitted before the read begins does not make it stale", () => {
    const queue = new AmendQueue();
    const one = job("1");
    queue.push(one);
    queue.admitted(base);
    queue.settled(base);
    expect([queue.begin(base), queue.movedSince(one)]).toEqual([one, false]);
  });

  it("settling what was never admitted, or ending what is not read, is a programmer's error", () => {
    const queue = new AmendQueue();
    expect(() => queue.settled(base)).toThrow("what settles was admitted");
    queue.push(job("1"));
    expect(() => queue.finish(job("1"))).toThrow("the job is the one being read");
    expect(() => queue.movedSince(job("1"))).toThrow("the job is the one being read");
  });
});
