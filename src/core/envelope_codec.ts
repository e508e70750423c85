/**
 * Packs the envelopes of one turn for one receiver into columns, and back. Before each message stand its envelope's
 * numbers: what there is, the receiver, and the rest as far as it is not the same as in the envelope before. Never
 * throws away a field: the literals below do not compile if the envelope gains one.
 */

import { ColumnReader } from "../wire/column_reader.ts";
import { type Columns, ColumnWriter, ownColumns } from "../wire/columns.ts";
import type { Envelope, EnvelopeKind, From } from "./envelope.ts";
import type { Pid } from "./pid.ts";

// Both only cache: what a call returns does not depend on the calls before it.
const writer = new ColumnWriter();
const reader = new ColumnReader();

const kindCodes: Readonly<Record<EnvelopeKind, number>> = {
  call: 0,
  cast: 1,
  info: 2,
  reply: 3,
  cancel: 4,
  exit: 5,
  down: 6,
  link: 7,
  unlink: 8,
  monitor: 9,
  demonitor: 10,
  system: 11,
};
/** By their codes. */
const kinds = Object.keys(kindCodes) as EnvelopeKind[];

/** Beside the kind, in one number. */
const kindMask = 15;
const has = { method: 16, trace: 32, from: 64, pid: 128 } as const;

/** Errors: `bad_argument` if a message holds what can't be sent; nothing is packed then. */
export function packBatch(envelopes: readonly Envelope[]): Columns {
  return ownColumns(packInPlace(envelopes));
}

/** The same in the packer's memory: good until it packs the next batch. */
function packInPlace(envelopes: readonly Envelope[]): Columns {
  writer.begin();
  let [lastMethod, lastPid]: [string, Pid | undefined] = ["", undefined];
  for (const envelope of envelopes) {
    const { kind, to, method, message, from, trace, incarnation } = envelope;
    const isNewPid = from !== undefined && from.pid !== lastPid;
    writer.number(
      kindCodes[kind] |
        (method === lastMethod ? 0 : has.method) |
        (trace === "" ? 0 : has.trace) |
        (from === undefined ? 0 : has.from) |
        (isNewPid ? has.pid : 0),
    );
    writer.number(to);
    writer.number(incarnation);
    if (method !== lastMethod) writer.string(method);
    if (trace !== "") writer.string(trace);
    if (from !== undefined) {
      if (isNewPid) writePid(from.pid);
      writer.number(from.ref);
      writer.number(from.deadlineMs);
      lastPid = from.pid;
    }
    writer.value(message);
    lastMethod = method;
  }
  return writer.end();
}

/** Unpacks what `packBatch` made. Throws on anything else. */
export function unpackBatch(columns: Columns): Envelope[] {
  reader.begin(columns);
  const envelopes: Envelope[] = [];
  let [method, pid]: [string, Pid | undefined] = ["", undefined];
  while (!reader.atEnd) {
    const what = reader.number();
    const kind = kinds[what & kindMask] as EnvelopeKind;
    const to = reader.number();
    const incarnation = reader.number();
    if ((what & has.method) !== 0) method = reader.string();
    const trace = (what & has.trace) === 0 ? "" : reader.string();
    if ((what & has.pid) !== 0) pid = readPid();
    const from = (what & has.from) === 0 ? undefined : readFrom(pid as Pid);
    const message = reader.value();
    envelopes.push({ kind, to, method, message, from, trace, incarnation });
  }
  reader.end();
  return envelopes;
}

/** Both, as a transport takes them. */
export const envelopeCodec = { pack: packInPlace, unpack: unpackBatch } as const;

function writePid({ node, thread, incarnation, id }: Required<Pid>): void {
  writer.string(node);
  writer.number(thread);
  writer.number(incarnation);
  writer.number(id);
}

function readPid(): Required<Pid> {
  return {
    node: reader.string(),
    thread: reader.number(),
    incarnation: reader.number(),
    id: reader.number(),
  };
}

function readFrom(pid: Pid): Required<Omit<From, "replyType">> {
  return { pid, ref: reader.number(), deadlineMs: reader.number() };
}
