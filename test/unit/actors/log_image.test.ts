/** What records amount to: terms, what voids what, and that a compacted account is the same account. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogImage } from "../../../actors/log_image.ts";
import type { LogRecord } from "../../../actors/log_records.ts";
import { type DirtyRange, rowKey } from "../../../actors/records.ts";
import { account, anyRecord, clear, mark, marked, start } from "./log_rows.ts";

function imageOf(...records: readonly LogRecord[]): LogImage {
  const image = new LogImage();
  for (const record of records) image.apply(record);
  return image;
}

const of = { shard: 0, shardTerm: 1 };

describe("the image of a dirty log", () => {
  it("knows no term of a shard that has no start", () => {
    expect(imageOf(mark("a", 1)).recover(0).shardTerm).toBe(0);
    expect(imageOf(mark("a", 1)).recover(7)).toEqual({
      shardTerm: 0,
      marks: [],
      ranges: [],
      perror: [],
      held: [],
    });
  });

  it("a clear takes the mark with its version only", () => {
    expect(marked(imageOf(mark("a", 1), mark("a", 2), clear("a", 1)))).toEqual(["a"]);
    expect(marked(imageOf(mark("a", 1), mark("a", 2), clear("a", 2)))).toEqual([]);
    expect(marked(imageOf(clear("a", 1), mark("a", 1)))).toEqual(["a"]);
  });

  it("a start voids what older terms logged, keeps its own, and no older record comes back", () => {
    const records = [start(1), mark("old", 1), mark("new", 1, 0, 2), mark("other", 1, 1, 1), start(2)];
    const image = imageOf(...records, mark("late", 2), clear("new", 1, 0, 1));
    expect(marked(image)).toEqual(["new"]);
    expect(marked(image, 1)).toEqual(["other"]);
    expect(image.recover(0).shardTerm).toBe(2);
  });

  it("a start that is read after that of a newer term changes nothing", () => {
    const image = imageOf(mark("a", 1, 0, 5), start(5), start(3), mark("b", 1, 0, 3));
    expect([image.recover(0).shardTerm, marked(image)]).toEqual([5, ["a"]]);
  });

  it("ranges follow their cursor and go; entries of db_perror and held keys go one by one", () => {
    const key = rowKey("things", "k");
    const range: DirtyRange = {
      id: "1.1",
      cohort: "things/*",
      from: "",
      to: "",
      cursor: "",
      state: "scanning",
      reason: "copy",
    };
    const perror = {
      ...of,
      type: "perror",
      key,
      version: [1, 1, 1],
      reason: "bad",
      attempts: 3,
      firstAtMs: 5,
    } as const;
    const image = imageOf(
      { ...of, type: "range", range },
      { ...of, type: "range", range: { ...range, id: "1.2" } },
      { ...of, type: "cursor", id: "1.1", cursor: key },
      { ...of, type: "cursor", id: "absent", cursor: key },
      { ...of, type: "range_removed", id: "1.2" },
      perror,
      { ...of, type: "held", key, decision: "d1" },
    );
    expect(image.recover(0)).toEqual({
      shardTerm: 0,
      marks: [],
      ranges: [{ ...range, cursor: key }],
      perror: [perror],
      held: [{ key, decision: "d1" }],
    });
    image.apply({ ...of, type: "perror_resolved", key });
    image.apply({ ...of, type: "held", key, decision: "" });
    expect(image.recover(0)).toMatchObject({ perror: [], held: [] });
  });

  it("a compacted log amounts to what the whole log did, and to no more when both are read", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 40 }), (records) => {
        const whole = imageOf(...records);
        const compacted = [...whole.records()];
        const both = imageOf(...records, ...compacted);
        for (let shard = 0; shard <= 3; shard++) {
          expect(sorted(imageOf(...compacted), shard)).toEqual(sorted(whole, shard));
          expect(sorted(both, shard)).toEqual(sorted(whole, shard));
        }
      }),
    );
  });

  it("leaves another log's shard out of its own account, until the shard starts here", () => {
    const image = new LogImage();
    image.apply(mark("moved", 1, 3, 1));
    image.apply(start(1, 3));
    const theirs = { own: false, gaps: 0 };
    image.apply(mark("theirs", 1, 3, 2), theirs);
    image.apply(start(2, 3), theirs);
    expect(marked(image, 3)).toEqual(["theirs"]);
    expect([...image.records()]).toEqual([]);
    const back = [mark("theirs", 1, 3, 4), start(4, 3)];
    for (const record of back) image.apply(record);
    expect([...image.records()]).toEqual([account(4, 3), ...back]);
  });

  it("keeps what this log wrote of a shard beside another log's account: its next account begins so", () => {
    const image = new LogImage();
    image.apply(start(2, 3), { own: false, gaps: 0 });
    image.apply(mark("older", 1, 3, 2), { own: false, gaps: 0 });
    image.apply(mark("ours", 1, 3, 4));
    expect([...image.records()]).toEqual([mark("ours", 1, 3, 4)]);
  });
});

describe("a gap in a log", () => {
  /** What is known of shard 0 when its log has a gap before the record with this index. */
  function termWithGap(at: number, records: readonly LogRecord[]): number {
    const image = new LogImage();
    records.forEach((record, i) => {
      if (i === at) image.own.gaps++;
      image.apply(record);
    });
    if (at === records.length) image.own.gaps++;
    expect(image.suspects()).toEqual(image.recover(0).shardTerm === 0 ? [0] : []);
    return image.recover(0).shardTerm;
  }

  it("makes a shard suspect if it lies behind the begin of its last account, and means nothing before that", () => {
    const records = [mark("a", 1), account(1), mark("a", 1), start(1), clear("a", 1), mark("b", 2)];
    const terms = records.concat(start(9, 9)).map((_, at) => termWithGap(at, records));
    expect(terms).toEqual([1, 1, 0, 0, 0, 0, 0]);
  });

  it("is healed by a whole new account, and not by one that it lies in", () => {
    const records = [account(1), start(1), mark("a", 1), account(2), mark("a", 1, 0, 2), start(2)];
    expect([2, 3, 4, 5, 6].map((at) => termWithGap(at, records))).toEqual([2, 2, 0, 0, 0]);
  });

  it("makes a shard suspect whose account says not where it begins", () => {
    expect([0, 1, 2].map((at) => termWithGap(at, [mark("a", 1), start(1)]))).toEqual([0, 0, 0]);
  });

  it("is no secret of a compacted log: a suspect shard has no term there either", () => {
    const image = new LogImage();
    for (const record of [account(1), mark("a", 1), start(1)]) image.apply(record);
    image.own.gaps++;
    const compacted = new LogImage();
    for (const record of image.records()) compacted.apply(record);
    expect([compacted.recover(0).shardTerm, marked(compacted)]).toEqual([0, ["a"]]);
  });

  it("in one log says nothing of a shard whose account is in another", () => {
    const image = new LogImage();
    const other = { own: false, gaps: 0 };
    for (const record of [account(3), mark("a", 1, 0, 3), start(3)]) image.apply(record, other);
    image.own.gaps++;
    expect(image.recover(0).shardTerm).toBe(3);
    other.gaps++;
    expect(image.recover(0).shardTerm).toBe(0);
  });
});

it("a shard's copy from a mirror takes the place of what was known, and is this log's", () => {
  const mirror = new LogImage();
  for (const record of [account(5), mark("a", 1, 0, 5), start(5)]) mirror.apply(record);
  const image = new LogImage();
  for (const record of [mark("b", 1), start(1)]) image.apply(record);
  image.own.gaps++;
  image.replace(0, mirror.recover(0));
  expect([image.recover(0).shardTerm, marked(image)]).toEqual([5, ["a"]]);
  expect([...image.records()]).toEqual([account(5), mark("a", 1, 0, 5), start(5)]);
});

function sorted(image: LogImage, shard: number): unknown {
  const { shardTerm, ...lists } = image.recover(shard);
  const texts = Object.values(lists).map((list) => list.map((each) => JSON.stringify(each)).sort(byText));
  return [shardTerm, ...texts];
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
