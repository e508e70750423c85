/**
 * Broken twins of what compares: each lacks one thing that makes a comparison worth something, and is the product's own
 * otherwise. They are planted by name through `WorldOptions.replaced`.
 */

import { mergeRows, type Pair } from "../../../actors/compare.ts";
import type { Validation, ValidationRequest } from "../../../actors/compare_messages.ts";
import { db_compare } from "../../../actors/db_compare.ts";
import { db_crawler } from "../../../actors/db_crawler.ts";
import { db_dirty_keys } from "../../../actors/db_dirty_keys.ts";
import { db_replay } from "../../../actors/db_replay.ts";
import type { PeerSender, Sent } from "../../../actors/peer_sender.ts";
import type { RangeReader } from "../../../actors/range_reader.ts";
import { compareVersions, type Row, type RowKey } from "../../../actors/records.ts";
import type { ShardOptions } from "../../../actors/shard_options.ts";
import type { EncodedRow } from "../../../actors/store_messages.ts";
import { decodeRow, encodeRow } from "../../../actors/stores/row_codec.ts";
import { type Definition, type From, genServer } from "../../../src/index.ts";
import type { Callbacks } from "./late_messages.ts";

const compare: Callbacks<typeof db_compare> = db_compare.callbacks;
const crawler: Callbacks<typeof db_crawler> = db_crawler.callbacks;
const ledger: Callbacks<typeof db_dirty_keys> = db_dirty_keys.callbacks;
const replay: Callbacks<typeof db_replay> = db_replay.callbacks;

function rowOf({ key, value }: EncodedRow): Row {
  return decodeRow(key, value);
}

type Reader = Pick<RangeReader, "get" | "read" | "rows">;

interface Reading {
  readonly reader: RangeReader;
}

// --- both directions ---------------------------------------------------------------------------------------------

function localOnly(reader: RangeReader): Reader {
  return {
    get: (keys) => reader.get(keys),
    read: async (range, limit) => {
      const { pairs, next } = await reader.read(range, limit);
      return { pairs: pairs.filter(({ local }) => local !== undefined), next };
    },
    rows: async (range, limit) => {
      const { local, peer, next } = await reader.rows(range, limit);
      const known = new Set(local.map(({ key }) => key));
      return { local, peer: peer.filter(({ key }) => known.has(key)), next };
    },
  };
}

/** Looks up at the peer what it reads here, and never walks the peer itself. */
export const one_way_compare: Definition<ShardOptions> = genServer(import.meta.url, "one_way_compare", {
  ...(compare as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: Reading = await compare.init(options, self);
    return { ...state, reader: localOnly(state.reader) };
  },
});

/** The same of a crawl. */
export const one_way_crawler: Definition<ShardOptions> = genServer(import.meta.url, "one_way_crawler", {
  ...(crawler as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: Reading = await crawler.init(options, self);
    return { ...state, reader: localOnly(state.reader) };
  },
});

// --- X: stable recheck -------------------------------------------------------------------------------------------

/** Judges a key by what its pass saw of it, however long ago that was. */
export const hasty_compare: Definition<ShardOptions> = genServer(import.meta.url, "hasty_compare", {
  ...(compare as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: Reading = await compare.init(options, self);
    const seen = new Map<RowKey, Pair>();
    const reader: Reader = {
      read: (range, limit) => state.reader.read(range, limit),
      rows: async (range, limit) => {
        const rows = await state.reader.rows(range, limit);
        for (const pair of mergeRows(rows.local.map(rowOf), rows.peer.map(rowOf))) seen.set(pair.key, pair);
        return rows;
      },
      get: async (keys) => {
        const pairs = await state.reader.get(keys);
        return pairs.map((pair) => seen.get(pair.key) ?? pair);
      },
    };
    return { ...state, reader };
  },
});

// --- the comparison before the cut -------------------------------------------------------------------------------

/** After its first comparison of every row it trusts that whoever writes tells the ledger. */
export const trusting_compare: Definition<ShardOptions> = genServer(import.meta.url, "trusting_compare", {
  ...(compare as Callbacks<Definition>),
  call: {
    ...compare.call,
    validate: (state: never, request: ValidationRequest, from: From<Validation>) =>
      compare.call.validate(state, { ...request, changedOnly: true }, from),
  },
});

/** Knows that something changed, and does not tell what. */
export const silent_ledger: Definition<ShardOptions> = genServer(import.meta.url, "silent_ledger", {
  ...(ledger as Callbacks<Definition>),
  call: { ...ledger.call, changedKeys: (): RowKey[] => [] },
});

// --- one canonical encoding --------------------------------------------------------------------------------------

/** Compares values as texts in one normal form, as somebody would who thinks of them as texts. */
export const lenient_compare: Definition<ShardOptions> = genServer(import.meta.url, "lenient_compare", {
  ...(compare as Callbacks<Definition>),
  init: async (options: ShardOptions, self) => {
    const state: Reading = await compare.init(options, self);
    const reader: Reader = {
      read: (range, limit) => state.reader.read(range, limit),
      rows: async (range, limit) => {
        const { local, peer, next } = await state.reader.rows(range, limit);
        return { local: local.map(asText), peer: peer.map(asText), next };
      },
      get: (keys) => state.reader.get(keys),
    };
    return { ...state, reader };
  },
});

function asText(encoded: EncodedRow): EncodedRow {
  const row = rowOf(encoded);
  if (row.value === null) return encoded;
  const value = new TextEncoder().encode(new TextDecoder().decode(row.value).normalize("NFC"));
  return { key: row.key, value: encodeRow({ ...row, value }) };
}

// --- A: amend ----------------------------------------------------------------------------------------------------

/** Whatever the peer has at our version or above is good enough. */
export const version_trusting_replay: Definition<ShardOptions> = genServer(
  import.meta.url,
  "version_trusting_replay",
  {
    ...(replay as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: { readonly sender: PeerSender } = await replay.init(options, self);
      const sender: Pick<PeerSender, "send" | "read"> = {
        read: (keys) => state.sender.read(keys),
        send: async (batch) => {
          const sent = await state.sender.send(batch);
          return sent.map(({ taken, outcome }): Sent => {
            const trusted = outcome.status === "amend";
            return { taken, outcome: trusted ? { status: "confirmed" } : outcome };
          });
        },
      };
      return { ...state, sender };
    },
  },
);

/** Rows of one version are equal, so nothing of them is read. */
export const version_trusting_crawler: Definition<ShardOptions> = genServer(
  import.meta.url,
  "version_trusting_crawler",
  {
    ...(crawler as Callbacks<Definition>),
    init: async (options: ShardOptions, self) => {
      const state: Reading = await crawler.init(options, self);
      const reader: Pick<RangeReader, "read"> = {
        read: async (range, limit) => {
          const { pairs, next } = await state.reader.read(range, limit);
          const differ = ({ local, peer }: Pair): boolean =>
            local === undefined || peer === undefined || compareVersions(local.version, peer.version) !== 0;
          return { pairs: pairs.filter(differ), next };
        },
      };
      return { ...state, reader };
    },
  },
);
