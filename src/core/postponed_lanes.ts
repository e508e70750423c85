/**
 * Lanes of a factory whose next job can't be done for now, in groups that wait for the same thing. One lane of a group
 * is let go on at a time, to see whether it can be done by now; once one is, all others of its group can. Pure.
 */

export class PostponedLanes {
  readonly #groups = new Map<string, Set<string>>();
  /** Lanes that were let go on, with the group for which they find out. */
  readonly #probes = new Map<string, string>();

  /** Returns true for the first lane of its group: from now on somebody has to `probe`. */
  postpone(lane: string, group: string): boolean {
    this.#probes.delete(lane);
    const lanes = this.#groups.get(group);
    if (lanes === undefined) this.#groups.set(group, new Set([lane]));
    else lanes.add(lane);
    return lanes === undefined;
  }

  /** The lane of this group that goes on, the one that waits longest; undefined if none is left, and the group ends. */
  probe(group: string): string | undefined {
    const lanes = this.#groups.get(group);
    const [lane] = lanes ?? [];
    if (lane === undefined) this.#groups.delete(group);
    else {
      lanes?.delete(lane);
      this.#probes.set(lane, group);
    }
    return lane;
  }

  /** A lane's job was done. Returns the lanes that go on by that. */
  done(lane: string): readonly string[] {
    const group = this.#probes.get(lane);
    if (group === undefined) return [];
    this.#probes.delete(lane);
    const lanes = [...(this.#groups.get(group) ?? [])];
    this.#groups.get(group)?.clear();
    return lanes;
  }
}
