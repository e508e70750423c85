/**
 * The feed of a source that others write: what db_feed needs of logical decoding, a binlog or a replication stream.
 * A feed that can't say what came before an event (keyspace notifications, triggers that fire and forget) can't
 * implement it, and `plan` refuses it: hazard 58.
 */

import type { RowKey, Site } from "./records.ts";

/** A place in a feed, e.g. a log sequence number or a transaction id; opaque, compared for equality only. */
export type Position = string;

/** One committed change. What changed is not in it: a repair reads the current row. */
export interface ChangeEvent {
  readonly position: Position;
  /** The position of the event before it: what the last event was, if nothing is missing between the two. */
  readonly previous: Position;
  /** undefined: a watermark, or a change of nothing that is migrated. */
  readonly key: RowKey | undefined;
  /** Who made the change; `ownOrigin` for what nanoactor's own applies to the source have changed. */
  readonly origin: string;
}

/** Errors of every method: `unavailable` (try again). */
export interface ChangeFeed {
  /**
   * At most `limit` events after a position, in commit order; none if there is none yet. Where the position is not
   * known any more (the log was cut), the events that are left: the first one then names another predecessor.
   */
  from(position: Position, limit: number): Promise<readonly ChangeEvent[]>;
  /**
   * Writes an event without a key into the source and returns its position: everything committed before the call comes
   * before it in the feed, so a feed that has passed it has told of all that. Its loss is a gap as any other's.
   */
  watermark(): Promise<Position>;
}

/** The resource `feeds`: a shard's view of its site's feed. It may be the feed of the whole source. */
export interface FeedOpener {
  open(site: Site, shard: number): Promise<ChangeFeed>;
}

export const ownOrigin = "nanoactor";

/** `feed/<site>/<shard>` in the control store: everything up to here has a mark, or lies in a range. */
export interface FeedRecord {
  readonly position: Position;
}
