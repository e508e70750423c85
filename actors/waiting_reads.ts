/**
 * Reads that can't be answered for now, in groups that wait for the same thing: one of a group is tried at a time, and
 * once it is answered all others go on. Pure.
 */

export class WaitingReads<Read> {
  readonly #groups = new Map<string, Read[]>();

  /** True for the first of its group: from now on somebody has to call `next` again and again. */
  add(group: string, read: Read): boolean {
    const reads = this.#groups.get(group);
    if (reads !== undefined) {
      reads.push(read);
      return false;
    }
    this.#groups.set(group, [read]);
    return true;
  }

  /** The one that is tried now; undefined if nobody waits any more, and the group ends. */
  next(group: string): Read | undefined {
    const read = this.#groups.get(group)?.shift();
    if (read === undefined) this.#groups.delete(group);
    return read;
  }

  /** All of a group, which go on. */
  release(group: string): Read[] {
    return this.#groups.get(group)?.splice(0) ?? [];
  }

  /** Takes out those that match. */
  take(matches: (read: Read) => boolean): Read[] {
    const taken: Read[] = [];
    for (const [group, reads] of this.#groups) {
      const found = reads.filter(matches);
      if (found.length === 0) continue;
      taken.push(...found);
      this.#groups.set(
        group,
        reads.filter((read) => !matches(read)),
      );
    }
    return taken;
  }
}
