/**
 * Named points at which code waits until a test lets it go on: how a test plays one interleaving. Code under test
 * (a store, a link, a wrapped behaviour) passes a point by `await points.pass("apply", details)`; unless the test has
 * armed that point, it goes on at once.
 */

interface Armed {
  readonly matches: (details: unknown) => boolean;
  left: number;
}

interface Parked {
  readonly details: unknown;
  readonly goOn: () => void;
}

interface Point {
  readonly armed: Armed[];
  readonly parked: Parked[];
  readonly watchers: (() => void)[];
}

/** Of a point that nobody has armed: most passes are of these. */
const passed = Promise.resolve();

export class PausePoints {
  readonly #points = new Map<string, Point>();

  /** The next `count` passes whose details match will wait. Default: one, any. */
  arm(name: string, options: { count?: number; matches?: (details: unknown) => boolean } = {}): void {
    const { count = 1, matches = () => true } = options;
    this.#point(name).armed.push({ matches, left: count });
  }

  /** Passes of this point wait no more; those that wait go on waiting. */
  disarm(name: string): void {
    this.#point(name).armed.length = 0;
  }

  /** Resolves when at least `count` passes wait at the point. */
  async reached(name: string, count = 1): Promise<void> {
    const point = this.#point(name);
    while (point.parked.length < count) {
      await new Promise<void>((resolve) => point.watchers.push(resolve));
    }
  }

  /** How many wait. */
  parked(name: string): number {
    return this.#point(name).parked.length;
  }

  /** Lets those that wait go on, in the order they came, at most `count`; returns how many. Disarms nothing. */
  release(name: string, count = Number.POSITIVE_INFINITY): number {
    const released = this.#point(name).parked.splice(0, count);
    for (const { goOn } of released) goOn();
    return released.length;
  }

  /** Those that wait never go on: what they were about to do is lost. */
  drop(name: string): number {
    return this.#point(name).parked.splice(0).length;
  }

  pass(name: string, details?: unknown): Promise<void> {
    const point = this.#points.get(name);
    const armed = point?.armed.find(({ matches }) => matches(details));
    if (point === undefined || armed === undefined) return passed;
    if (--armed.left <= 0) point.armed.splice(point.armed.indexOf(armed), 1);
    return new Promise((resolve) => {
      point.parked.push({ details, goOn: resolve });
      for (const reached of point.watchers.splice(0)) reached();
    });
  }

  #point(name: string): Point {
    let point = this.#points.get(name);
    if (point === undefined) {
      point = { armed: [], parked: [], watchers: [] };
      this.#points.set(name, point);
    }
    return point;
  }
}
