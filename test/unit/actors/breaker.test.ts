/** The breaker's states, one by one. */

import { describe, expect, it } from "vitest";
import { Breaker } from "../../../actors/breaker.ts";

function opened(failuresMax = 3): Breaker {
  const breaker = new Breaker(failuresMax);
  for (let i = 0; i < failuresMax; i++) breaker.failed();
  return breaker;
}

describe("a breaker", () => {
  it("opens at so many failures in a row, and says so once", () => {
    const breaker = new Breaker(3);
    expect([breaker.failed(), breaker.failed(), breaker.state]).toEqual([false, false, "closed"]);
    expect([breaker.failed(), breaker.state, breaker.failed()]).toEqual([true, "open", false]);
  });

  it("an answer in between begins the count anew", () => {
    const breaker = new Breaker(2);
    breaker.failed();
    expect(breaker.answered()).toBe(false);
    expect([breaker.failed(), breaker.failed()]).toEqual([false, true]);
  });

  it("half open, one failure opens it again and one answer closes it", () => {
    const breaker = opened();
    breaker.halfOpen();
    expect([breaker.state, breaker.failed(), breaker.state]).toEqual(["half_open", true, "open"]);
    breaker.halfOpen();
    expect([breaker.answered(), breaker.state, breaker.answered()]).toEqual([true, "closed", false]);
    expect([breaker.failed(), breaker.failed(), breaker.failed()]).toEqual([false, false, true]);
  });

  it("only an open one becomes half open", () => {
    const breaker = new Breaker(3);
    breaker.halfOpen();
    expect(breaker.state).toBe("closed");
  });

  it("an answer that comes late closes an open one: the partition is there", () => {
    expect(opened().answered()).toBe(true);
  });
});
