import { describe, expect, it } from "vitest";
import { answered } from "../../app/system/restarts.ts";
import { NanoError } from "../../src/index.ts";

/** Fails with these errors, one after the other, then answers. */
function failing(...errors: unknown[]): { readonly ask: () => Promise<string>; readonly left: unknown[] } {
  const ask = async (): Promise<string> => {
    if (errors.length > 0) throw errors.shift();
    return "answer";
  };
  return { ask, left: errors };
}

const ofCode = (code: string): NanoError => new NanoError(code, `it is ${code}`);

describe("asking what may restart", () => {
  it("is repeated until it is back", async () => {
    const { ask } = failing(ofCode("noproc"), ofCode("crashed"), ofCode("timeout"));
    await expect(answered(ask)).resolves.toBe("answer");
  });

  it("fails at once with what no restart explains", async () => {
    const { ask, left } = failing(ofCode("unavailable"), ofCode("noproc"));
    await expect(answered(ask)).rejects.toMatchObject({ code: "unavailable" });
    expect(left).toHaveLength(1);
  });

  it("fails with the last error when it takes too long", async () => {
    const { ask } = failing(...Array.from({ length: 100 }, () => ofCode("noproc")));
    await expect(answered(ask, 120)).rejects.toMatchObject({ code: "noproc" });
  });
});
